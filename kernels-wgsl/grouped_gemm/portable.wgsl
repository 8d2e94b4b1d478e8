// Any types, any shape, in f32: tiles of BLOCK_M rows x BLOCK_N weight rows, 16 elements at a time. An invocation owns 4 x 4
// results. A workgroup a tile; the column tiles of a row tile are neighbours.
const FOURS: u32 = 5u; // four fours of elements, and one of padding against bank conflicts

struct Tile {
    expert: i32, // -1: behind the last
    first: i32,
    last: i32,
}

var<workgroup> tile: Tile;
var<workgroup> a_tile: array<vec4<f32>, BLOCK_M * FOURS>;
var<workgroup> w_tile: array<vec4<f32>, BLOCK_N * FOURS>;
var<workgroup> factors: array<f32, BLOCK_N>;

fn find_tile(index: i32) -> Tile {
    if (GROUPED == 0u) {
        let first = index * i32(BLOCK_M);
        return Tile(select(-1, 0, first < p.rows), first, min(first + i32(BLOCK_M), p.rows));
    }
    if (index >= tile_begin(p.experts)) { return Tile(-1, 0, 0); }
    // The last expert that starts at or before it.
    var e = 0u;
    for (var step = 512u; step > 0u; step /= 2u) {
        if (e + step < p.experts && tile_begin(e + step) <= index) { e += step; }
    }
    let first = row_begin(e) + (index - tile_begin(e)) * i32(BLOCK_M);
    return Tile(i32(e), first, min(first + i32(BLOCK_M), row_begin(e + 1u)));
}

// Row of `a` that row r reads, -1 where a gather points outside.
fn input_row(r: i32, reports: bool) -> i32 {
    if (GATHER == 0u) { return r; }
    let index = int_row_index(u32(r));
    if (index >= 0 && u32(index) / p.divide < p.input_rows) { return i32(u32(index) / p.divide); }
    if (reports) { report(FAULT_ROW_INDEX); }
    return -1;
}

// Weight row of column c: gate and up stand side by side here, whatever their order in memory.
fn weight_row(c: u32) -> u32 {
    if (GATED == 0u || HALVES == 0u) { return c; }
    return c / 2u + select(0u, p.n / 2u, c % 2u == 1u);
}

@compute @workgroup_size(THREADS)
fn grouped_gemm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let col_first = item % p.columns * BLOCK_N;
    if (lane == 0u) { tile = find_tile(i32(item / p.columns)); }
    let t = workgroupUniformLoad(&tile);
    if (t.expert < 0) { return; }
    let local = t.expert - p.local_first;
    let here = local >= 0 && local < p.local_count;
    // A launch binds the weights of some experts; the first one zeroes the rows of those that are nowhere.
    let bound = local - p.bound_first;
    if (here && (bound < 0 || bound >= p.bound_count)) { return; }
    if (!here && p.bound_first > 0) { return; }

    // Loading: four elements of one row of each tile. Column c stands at c % 4 * 16 + c / 4.
    let load_row = lane / 4u;
    let load_k = lane % 4u * 4u;
    let r_load = t.first + i32(load_row);
    let c_load = col_first + load_row;
    var a_row = -1;
    if (here && r_load < t.last) { a_row = input_row(r_load, load_k == 0u && col_first == 0u); }
    let w_place = (load_row % 4u * (BLOCK_N / 4u) + load_row / 4u) * FOURS + lane % 4u;
    // Computing: rows m .. m + 4, columns n .. n + 4 of the tile.
    let m = lane / 16u * 4u;
    let n = lane % 16u;
    var sum = array<vec4<f32>, 4>();
    var block = array<vec4<f32>, 4>();
    let k_end = select(0u, p.k, here);
    for (var k = 0u; k < k_end; k += 16u) {
        var a = vec4<f32>();
        var w = vec4<f32>();
        if (k + load_k < p.k) {
            if (a_row >= 0) { a = load4_a(u32(a_row), k + load_k, p.k - k - load_k); }
            if (c_load < p.n) {
                w = load_weights(u32(bound), weight_row(c_load), k + load_k);
                if (FORMAT != DENSE && load_k == 0u) {
                    factors[w_place / FOURS] = block_factor(scale_of(u32(bound), weight_row(c_load), k));
                }
            }
        }
        a_tile[load_row * FOURS + lane % 4u] = a;
        w_tile[w_place] = w;
        workgroupBarrier();
        for (var i = 0u; i < 4u; i++) {
            let w0 = w_tile[n * FOURS + i];
            let w1 = w_tile[(n + 16u) * FOURS + i];
            let w2 = w_tile[(n + 32u) * FOURS + i];
            let w3 = w_tile[(n + 48u) * FOURS + i];
            for (var r = 0u; r < 4u; r++) {
                let x = a_tile[(m + r) * FOURS + i];
                block[r] += vec4<f32>(dot(x, w0), dot(x, w1), dot(x, w2), dot(x, w3));
            }
        }
        if (FORMAT != DENSE && k % 32u == 16u) {
            let factor = vec4<f32>(factors[n], factors[n + 16u], factors[n + 32u], factors[n + 48u]);
            for (var r = 0u; r < 4u; r++) {
                sum[r] += block[r] * factor;
                block[r] = vec4<f32>();
            }
        }
        workgroupBarrier();
    }

    let col = col_first + n * 4u;
    if (col >= p.n) { return; }
    var bias = vec4<f32>();
    if (BIAS == 1u && here) {
        for (var c = 0u; c < min(p.n - col, 4u); c++) { bias[c] = load_bias(u32(local), weight_row(col + c)); }
    }
    for (var r = 0u; r < 4u; r++) {
        let row = t.first + i32(m + r);
        if (row >= t.last) { break; }
        let y = select(block[r], sum[r], FORMAT != DENSE) + bias;
        if (GATED == 0u) {
            store4_d(u32(row), col, p.n - col, y);
        } else if (here) {
            store2_d(u32(row), col / 2u, (p.n - col) / 2u, vec2<f32>(swiglu(y.x, y.y), swiglu(y.z, y.w)));
        } else {
            store2_d(u32(row), col / 2u, (p.n - col) / 2u, vec2<f32>());
        }
    }
}
