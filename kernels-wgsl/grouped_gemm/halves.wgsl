// Rows of `a` as f16 for cooperative matrices, each divided by the power of two that brings its largest element just below 2^16:
// exactly, where no element is 2^-33 of the largest or less. The scale of a row that does not fit is 0. Of every 64 elements,
// those of q = 0 come first (2q, 2q + 1, 2q + 8, 2q + 9 of each 16), as prepacked weights have them. A workgroup a row.
const LEAST_EXPONENT: i32 = -116; // a product with the smallest scale of a block stays normal

var<workgroup> largest: atomic<u32>; // magnitudes as bits of f32
var<workgroup> smallest: atomic<u32>; // less one, so that zero counts as the largest

fn place_of(v: u32) -> u32 {
    return v / 8u * 64u + v % 2u * 32u + v % 8u / 2u * 2u;
}

// Elements k, k + 1, k + 8, k + 9.
fn four_from(row: u32, k: u32) -> vec4<f32> {
    if (k >= p.k) { return vec4<f32>(); }
    return vec4<f32>(load_a(row, k), load_a(row, k + 1u), load_a(row, k + 8u), load_a(row, k + 9u));
}

fn packed(four: vec4<f32>, down: f32) -> vec2<u32> {
    return vec2<u32>(pack2x16float(four.xy * down), pack2x16float(four.zw * down));
}

@compute @workgroup_size(THREADS)
fn grouped_halves(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = item_of(group);
    if (r >= p.items) { return; }
    if (GROUPED == 1u) {
        // Rows of experts that are not here are nobody's.
        if (i32(r) < row_begin(u32(p.local_first)) || i32(r) >= row_begin(u32(p.local_first + p.local_count))) { return; }
    }
    let row = input_row(i32(r), lane == 0u);
    if (lane == 0u) {
        atomicStore(&largest, 0u);
        atomicStore(&smallest, 0xffffffffu);
    }
    workgroupBarrier();
    let vectors = (p.k + 63u) / 64u * 8u;
    if (row >= 0 && REBASED == 1u) {
        var most = 0u;
        var least = 0xffffffffu;
        for (var v = lane; v < vectors; v += THREADS) {
            let k = place_of(v);
            let a = bitcast<vec4<u32>>(four_from(u32(row), k)) & vec4<u32>(0x7fffffffu);
            let b = bitcast<vec4<u32>>(four_from(u32(row), k + 16u)) & vec4<u32>(0x7fffffffu);
            let high = max(a, b);
            let low = min(a - 1u, b - 1u);
            most = max(most, max(max(high.x, high.y), max(high.z, high.w)));
            least = min(least, min(min(low.x, low.y), min(low.z, low.w)));
        }
        atomicMax(&largest, most);
        atomicMin(&smallest, least);
    }
    workgroupBarrier();
    var exponent = 0;
    var fits = true;
    let most = atomicLoad(&largest);
    if (most != 0u) {
        let top = i32(most >> 23u);
        let bottom = i32((atomicLoad(&smallest) + 1u) >> 23u);
        exponent = top - 127 - 15;
        fits = top < 255 && top - bottom <= 32 && exponent >= LEAST_EXPONENT;
    }
    if (lane == 0u) { store_row_scale(r, 0u, select(0.0, power_of_two(exponent), fits)); }
    let down = power_of_two(select(0, -exponent, fits));
    for (var v = lane; v < vectors; v += THREADS) {
        var halves = vec4<u32>();
        if (row >= 0) {
            let k = place_of(v);
            halves = vec4<u32>(packed(four_from(u32(row), k), down), packed(four_from(u32(row), k + 16u), down));
        }
        put_vec_halves(halves_at(r, v), halves);
    }
}
