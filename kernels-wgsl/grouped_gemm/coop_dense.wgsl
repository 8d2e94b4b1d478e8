// Dense weights on cooperative matrices of SIDE x SIDE, f16 into f32, for linear layers of many rows. Rows of `a` and, behind them,
// of weights are there as f16, each divided by a power of two of its own. A workgroup takes BLOCK_M rows and BLOCK_N weight rows,
// 64 elements at a time, which it holds in registers while it multiplies the 64 before. A tile with a row that did not fit f16 is
// computed in f32 instead. A subgroup of 32 has M_TILES x N_TILES matrices of results; a line with $m or $n stands for one line
// for each.
const A_EACH: u32 = BLOCK_M * 16u / THREADS;
const W_EACH: u32 = BLOCK_N * 16u / THREADS;
const_assert BLOCK_M * 16 % THREADS == 0 && BLOCK_N * 16 % THREADS == 0 && BLOCK_M <= THREADS && BLOCK_N <= THREADS;

var<workgroup> beyond: array<atomic<u32>, 4>; // one: whole 16 bytes

// Row of the halves that has the weights of a column. The last one stands in for those that are not there: their columns are
// not stored.
fn weights_of(col: u32) -> u32 {
    return u32(p.rows) + min(col, p.n - 1u);
}

fn scaled(row: u32, col: u32, y: vec4<f32>) -> vec4<f32> {
    let a = load_row_scale(row, 0u);
    var out = y;
    for (var c = 0u; c < 4u; c++) {
        let w = load_row_scale(weights_of(col + c), 0u);
        // The smaller one first: what it makes too small to matter, the other does not bring back; nothing overflows in between.
        out[c] = y[c] * min(a, w) * max(a, w);
    }
    return out;
}

fn exact_tile(t: Tile, col_first: u32, lane: u32) {
    for (var i = lane; i < BLOCK_M * BLOCK_N / 4u; i += THREADS) {
        let r = t.first + i32(i / (BLOCK_N / 4u));
        let col = col_first + i % (BLOCK_N / 4u) * 4u;
        if (r >= t.last || col >= p.n) { continue; }
        let row = input_row(r, false);
        var y = vec4<f32>();
        if (row >= 0) {
            for (var c = 0u; c < min(p.n - col, 4u); c++) {
                let first = (col + c) * p.k;
                for (var k = 0u; k < p.k; k += 4u) { y[c] += dot(load4_a(u32(row), k, 4u), load4_w(0u, first + k, 4u)); }
            }
        }
        finish(u32(r), col, y, 0, true);
    }
}

@compute @workgroup_size(THREADS)
fn grouped_gemm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group.y * MAX_GROUPS + group.x;
    if (item >= p.items) { return; }
    let col_first = item % p.columns * BLOCK_N;
    find_tile(i32(item / p.columns), lane, false);
    let t = workgroupUniformLoad(&tile);
    if (t.expert < 0) { return; }
    if (lane == 0u) { atomicStore(&beyond[0], 0u); }
    workgroupBarrier();
    var far = false;
    if (lane < BLOCK_M && t.first + i32(lane) < t.last) { far = load_row_scale(u32(t.first) + lane, 0u) == 0.0; }
    if (lane < BLOCK_N) { far = far || load_row_scale(weights_of(col_first + lane), 0u) == 0.0; }
    if (far) { atomicStore(&beyond[0], 1u); }
    workgroupBarrier();
    let exact = workgroupUniformLoad(&beyond[0]) != 0u;
    if (exact) {
        exact_tile(t, col_first, lane);
        return;
    }

    var a_rows = array<u32, A_EACH>();
    var w_rows = array<u32, W_EACH>();
    var a = array<vec4<f16>, A_EACH>();
    var w = array<vec4<f16>, W_EACH>();
    for (var i = 0u; i < A_EACH; i++) {
        let r = min(t.first + i32((lane + i * THREADS) / 16u), t.last - 1);
        a_rows[i] = halves_at(u32(r), lane % 16u);
        a[i] = vec_halves(a_rows[i]);
    }
    for (var i = 0u; i < W_EACH; i++) {
        w_rows[i] = halves_at(weights_of(col_first + (lane + i * THREADS) / 16u), lane % 16u);
        w[i] = vec_halves(w_rows[i]);
    }
    let row = lane / 16u;
    let four = lane % 16u;
    let subgroup = lane / 32u;
    let first_m = subgroup / (BLOCK_N / SIDE / N_TILES) * M_TILES * SIDE;
    let first_n = subgroup % (BLOCK_N / SIDE / N_TILES) * N_TILES * SIDE;
    var c_$m$n = Product();
    for (var kt = 0u; kt < p.k_tiles; kt++) {
        workgroupBarrier();
        for (var i = 0u; i < A_EACH; i++) { put_left(row + i * (THREADS / 16u), four, a[i]); }
        for (var i = 0u; i < W_EACH; i++) { put_right(row + i * (THREADS / 16u), four, w[i]); }
        workgroupBarrier();
        // Without a branch around them: the last ones are asked for again.
        let next = min(kt + 1u, p.k_tiles - 1u) * 16u;
        for (var i = 0u; i < A_EACH; i++) { a[i] = vec_halves(a_rows[i] + next); }
        for (var i = 0u; i < W_EACH; i++) { w[i] = vec_halves(w_rows[i] + next); }
        for (var v = 0u; v < 16u * FOUR; v += SIDE / 4u * FOUR) {
            let a_$m = coopLoadT<Left>(&left[(first_m + $mu * SIDE) * LINE + v], LINE);
            let b_$n = coopLoad<Right>(&right[(first_n + $nu * SIDE) * LINE + v], LINE);
            c_$m$n = coopMultiplyAdd(a_$m, b_$n, c_$m$n);
        }
    }
    let own_patch = subgroup * SIDE * SIDE;
    coopStoreT(c_$m$n, &patches[own_patch], SIDE); finish_patch(t, first_m + $mu * SIDE, col_first + first_n + $nu * SIDE, 0, lane);
}
