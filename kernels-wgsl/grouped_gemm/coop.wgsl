// Prepacked MXFP4 on cooperative matrices of SIDE x SIDE, f16 into f32: a workgroup takes BLOCK_M rows and BLOCK_N weight rows, 64
// elements at a time, which it holds in registers while it multiplies the 64 before. Weights become f16 with their scale:
// exactly, for scales of 2^-23 to 2^13. A tile with others, or with a row that did not fit f16, is computed in f32 instead. A
// subgroup of 32 has M_TILES x N_TILES matrices of results; a line with $m or $n stands for one line for each.
const A_FOURS: u32 = BLOCK_M * 16u;
const A_EACH: u32 = (A_FOURS + THREADS - 1u) / THREADS;
const LEAST_SCALE: u32 = 104u;
const MOST_SCALE: u32 = 140u;
const_assert BLOCK_N * 2 == THREADS;

var<workgroup> beyond: array<atomic<u32>, 4>; // one: whole 16 bytes

fn halves_of(pairs: vec2<u32>) -> vec4<f16> {
    return vec4<f16>(pair_of(pairs.x), pair_of(pairs.y)) * 16384.0h;
}

// Of a word, as halves of rows g and g + 8.
fn put_word(row: u32, four: u32, word: u32, g: f16, g8: f16) {
    let pairs = pairs_of(word);
    put_right(row, four, halves_of(pairs.g) * g);
    put_right(row + 8u, four, halves_of(pairs.g8) * g8);
}

// An invocation's codes of a tile of 16 weight rows.
fn put_weights(codes: vec4<u32>, scales: vec4<u32>, lane: u32) {
    let row = lane / 32u * 16u + lane % 32u / 4u;
    let four = lane % 4u * 4u;
    let factor = vec4<f16>(bitcast<vec4<f32>>(scales << vec4<u32>(23u)));
    put_word(row, four, codes.x, factor.x, factor.z);
    put_word(row, four + 1u, codes.y, factor.x, factor.z);
    put_word(row, four + 2u, codes.z, factor.y, factor.w);
    put_word(row, four + 3u, codes.w, factor.y, factor.w);
}

fn scaled(row: u32, col: u32, y: vec4<f32>) -> vec4<f32> {
    return y * load_row_scale(row, 0u);
}

@compute @workgroup_size(THREADS)
fn grouped_gemm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Without calls and &&, whose results naga does not take for uniform.
    let item = group.y * MAX_GROUPS + group.x;
    if (item >= p.items) { return; }
    let col_first = item % p.columns * BLOCK_N;
    find_tile(i32(item / p.columns), lane, item == 0u);
    let t = workgroupUniformLoad(&tile);
    if (t.expert < 0) { return; }
    let local = t.expert - p.local_first;
    let bound = local - p.bound_first;
    let here = (local >= 0) & (local < p.local_count);
    if (select(p.bound_first > 0, (bound < 0) | (bound >= p.bound_count), here)) { return; }
    if (!here) {
        zero_tile(t, col_first, local, lane);
        return;
    }
    if (lane == 0u) { atomicStore(&beyond[0], 0u); }
    workgroupBarrier();
    let l = lane % 32u;
    let weights = w_at(u32(bound), 0u);
    // The last tile of weights stands in for those that are not there: their columns are not stored.
    let own = weights + min(col_first / 16u + lane / 32u, (p.n - 1u) / 16u) * p.k_tiles * 34u;
    var rows = array<u32, A_EACH>();
    for (var i = 0u; i < A_EACH; i++) {
        let r = min(t.first + i32((lane + i * THREADS) / 16u), t.last - 1);
        rows[i] = halves_at(u32(r), lane % 16u);
    }
    var far = false;
    if (lane < BLOCK_M && t.first + i32(lane) < t.last) { far = load_row_scale(u32(t.first) + lane, 0u) == 0.0; }

    var codes = vec_w(own + l);
    var scale_word = part_w(own + 32u + l / 16u, l / 4u % 4u);
    var a = array<vec4<f16>, A_EACH>();
    for (var i = 0u; i < A_EACH; i++) { a[i] = vec_halves(rows[i]); }
    let subgroup = lane / 32u;
    let first_m = subgroup / (BLOCK_N / SIDE / N_TILES) * M_TILES * SIDE;
    let first_n = subgroup % (BLOCK_N / SIDE / N_TILES) * N_TILES * SIDE;
    var c_$m$n = Product();
    for (var kt = 0u; kt < p.k_tiles; kt++) {
        let scales = scales_of(scale_word);
        far = far || any(scales < vec4<u32>(LEAST_SCALE)) || any(scales > vec4<u32>(MOST_SCALE));
        workgroupBarrier();
        put_weights(codes, scales, lane);
        for (var i = 0u; i < A_EACH; i++) {
            let v = lane + i * THREADS;
            if (v < A_FOURS) { put_left(v / 16u, v % 16u, a[i]); }
        }
        workgroupBarrier();
        // Without a branch around them: the last ones are asked for again.
        let next = min(kt + 1u, p.k_tiles - 1u);
        codes = vec_w(own + next * 34u + l);
        scale_word = part_w(own + next * 34u + 32u + l / 16u, l / 4u % 4u);
        for (var i = 0u; i < A_EACH; i++) { a[i] = vec_halves(rows[i] + next * 16u); }
        for (var v = 0u; v < 16u * FOUR; v += SIDE / 4u * FOUR) {
            let a_$m = coopLoadT<Left>(&left[(first_m + $mu * SIDE) * LINE + v], LINE);
            let b_$n = coopLoad<Right>(&right[(first_n + $nu * SIDE) * LINE + v], LINE);
            c_$m$n = coopMultiplyAdd(a_$m, b_$n, c_$m$n);
        }
    }
    if (far) { atomicStore(&beyond[0], 1u); }
    workgroupBarrier();
    let exact = workgroupUniformLoad(&beyond[0]) != 0u;
    if (exact) {
        exact_tile(t, col_first, weights, local, lane);
        return;
    }
    let own_patch = subgroup * SIDE * SIDE;
    coopStoreT(c_$m$n, &patches[own_patch], SIDE); finish_patch(t, first_m + $mu * SIDE, col_first + first_n + $nu * SIDE, local, lane);
}
