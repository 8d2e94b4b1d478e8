// Few rows an expert, any types, in f32: weights are read once and go straight to registers. A workgroup takes BLOCK_M rows and
// BLOCK_N weight rows; TEAM invocations share a weight row, each with every TEAM-th block of 32 elements.
const_assert BLOCK_M == 4 && BLOCK_N * TEAM == THREADS;

var<workgroup> a_rows: array<i32, BLOCK_M>;
var<workgroup> parts: array<vec4<f32>, THREADS>; // of an invocation's weight row with each of the rows

// Products of elements k .. k + 4 with those of each row.
fn products(w: vec4<f32>, k: u32) -> vec4<f32> {
    var out = vec4<f32>();
    for (var r = 0u; r < BLOCK_M; r++) {
        let row = a_rows[r];
        if (row >= 0) { out[r] = dot(load4_a(u32(row), k, p.k - k), w); }
    }
    return out;
}

// Products of the 32 elements from k on of weight row n.
fn block_products(expert: u32, n: u32, k: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    if (FORMAT == DENSE) {
        for (var i = 0u; i < 32u && k + i < p.k; i += 4u) { sum += products(load_weights(expert, n, k + i, 1.0), k + i); }
        return sum;
    }
    let scale = scale_of(expert, n, k);
    let factor = element_factor(scale);
    for (var i = 0u; i < 32u; i += 8u) {
        if (FORMAT == MXFP4) {
            // Eight codes in a word, in order.
            let word = word_w(w_at(expert, (n * p.k + k + i) / 2u));
            let even = word & 0x0f0f0f0fu;
            let odd = (word >> 4u) & 0x0f0f0f0fu;
            let e = values_of(even, factor);
            let o = values_of(odd, factor);
            sum += products(vec4<f32>(e.x, o.x, e.y, o.y), k + i);
            sum += products(vec4<f32>(e.z, o.z, e.w, o.w), k + i + 4u);
        } else {
            sum += products(load_weights(expert, n, k + i, factor), k + i);
            sum += products(load_weights(expert, n, k + i + 4u, factor), k + i + 4u);
        }
    }
    return sum * block_factor(scale);
}

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
    if (lane < BLOCK_M) {
        let row = t.first + i32(lane);
        a_rows[lane] = -1;
        if (here && row < t.last) { a_rows[lane] = input_row(row, col_first == 0u); }
    }
    workgroupBarrier();
    let col = col_first + lane / TEAM;
    var sum = vec4<f32>();
    if (here && col < p.n) {
        let n = weight_row(col);
        for (var k = lane % TEAM * 32u; k < p.k; k += TEAM * 32u) { sum += block_products(u32(bound), n, k); }
    }
    parts[lane] = sum;
    workgroupBarrier();
    // Four columns of a row each.
    let r = lane / (BLOCK_N / 4u);
    let first = lane % (BLOCK_N / 4u) * 4u;
    if (r >= BLOCK_M || t.first + i32(r) >= t.last) { return; }
    var y = vec4<f32>();
    for (var c = 0u; c < 4u; c++) {
        for (var i = 0u; i < TEAM; i++) { y[c] += parts[(first + c) * TEAM + i][r]; }
    }
    finish(u32(t.first) + r, col_first + first, y, local, here);
}
