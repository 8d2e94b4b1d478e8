// Any types, any shape, in f32: tiles of BLOCK_M rows x BLOCK_N weight rows, 16 elements at a time. An invocation owns 4 x 4
// results. A workgroup a tile; the column tiles of a row tile are neighbours.
const FOURS: u32 = 5u; // four fours of elements, and one of padding against bank conflicts

var<workgroup> a_tile: array<vec4<f32>, BLOCK_M * FOURS>;
var<workgroup> w_tile: array<vec4<f32>, BLOCK_N * FOURS>;
var<workgroup> factors: array<f32, BLOCK_N>;

@compute @workgroup_size(THREADS)
fn grouped_gemm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let col_first = item % p.columns * BLOCK_N;
    find_tile(i32(item / p.columns), lane, item == 0u);
    let t = workgroupUniformLoad(&tile);
    if (t.expert < 0) { return; }
    let local = t.expert - p.local_first;
    let here = local >= 0 && local < p.local_count;
    if (is_left_out(local, here)) { return; }
    let bound = local - p.bound_first;

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
                let n_load = weight_row(c_load);
                var scale = 127u;
                if (FORMAT != DENSE) { scale = scale_of(u32(bound), n_load, k); }
                w = load_weights(u32(bound), n_load, k + load_k, element_factor(scale));
                if (load_k == 0u) { factors[w_place / FOURS] = block_factor(scale); }
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
    for (var r = 0u; r < 4u; r++) {
        let row = t.first + i32(m + r);
        if (row < t.last) { finish(u32(row), col, select(block[r], sum[r], FORMAT != DENSE), local, here); }
    }
}
