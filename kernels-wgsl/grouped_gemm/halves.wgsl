// Rows of `a`, or of dense weights, as f16 for cooperative matrices, each with a scale: 0 where the row does not fit. Of every 64
// elements, those of q = 0 come first (2q, 2q + 1, 2q + 8, 2q + 9 of each 16), as prepacked weights have them. A workgroup a row.
var<workgroup> largest: atomic<u32>;
var<workgroup> smallest: atomic<u32>;

fn place_of(v: u32) -> u32 {
    return v / 8u * 64u + v % 2u * 32u + v % 8u / 2u * 2u;
}

fn element(row: u32, k: u32) -> f32 {
    if (WEIGHTS == 1u) { return load_w(0u, row * p.k + k); }
    return load_a(row, k);
}

// Elements k, k + 1, k + 8, k + 9.
fn four_from(row: u32, k: u32) -> vec4<f32> {
    if (k >= p.k) { return vec4<f32>(); }
    return vec4<f32>(element(row, k), element(row, k + 1u), element(row, k + 8u), element(row, k + 9u));
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
        var extremes = Extremes(0u, 0xffffffffu);
        for (var v = lane; v < vectors; v += THREADS) {
            let k = place_of(v);
            extremes = widened(widened(extremes, four_from(u32(row), k)), four_from(u32(row), k + 16u));
        }
        atomicMax(&largest, extremes.most);
        atomicMin(&smallest, extremes.least);
    }
    workgroupBarrier();
    let fit = fit_of(Extremes(atomicLoad(&largest), atomicLoad(&smallest)));
    if (lane == 0u) { store_row_scale(p.first + r, 0u, select(0.0, power_of_two(fit.exponent), fit.fits)); }
    let down = power_of_two(-fit.exponent);
    for (var v = lane; v < vectors; v += THREADS) {
        var halves = vec4<u32>();
        if (row >= 0) {
            let k = place_of(v);
            halves = vec4<u32>(packed(four_from(u32(row), k), down), packed(four_from(u32(row), k + 16u), down));
        }
        put_vec_halves(halves_at(p.first + r, v), halves);
    }
}
