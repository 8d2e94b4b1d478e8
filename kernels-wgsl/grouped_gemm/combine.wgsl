// out[t] = sum over j of weight[t, j] * y[row_of[t * k + j]], j ascending, over the f32 rows of local experts. An invocation four
// columns of a token.

@compute @workgroup_size(THREADS)
fn grouped_combine(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let fours = (p.width + 3u) / 4u;
    let at = item * THREADS + lane;
    let t = at / fours;
    if (t >= p.tokens) { return; }
    let col = at % fours * 4u;
    var first = 0;
    var last = p.rows;
    if (GROUPED == 1u) {
        first = row_begin(u32(p.local_first));
        last = row_begin(u32(p.local_first + p.local_count));
    }
    var sum = vec4<f32>();
    for (var j = 0u; j < p.top_k; j++) {
        let row = int_row_of(t * p.top_k + j);
        if (row != -1 && (row < 0 || row >= p.rows)) { report(FAULT_ROW_INDEX); }
        if (row >= first && row < last) {
            sum += load_combine_weight(t, j) * load4_y(u32(row), col, p.width - col);
        }
    }
    store4_d(t, col, p.width - col, sum);
}
