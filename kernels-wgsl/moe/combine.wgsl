// out[t] = sum over j of weight[t, j] * y[row_of[t * k + j]], j ascending. A workgroup a token.

@compute @workgroup_size(THREADS)
fn moe_combine(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    for (var col = lane * 4u; col < p.dim; col += THREADS * 4u) {
        let count = p.dim - col;
        var sum = vec4<f32>();
        for (var j = 0u; j < p.top_k; j++) {
            let row = int_assignment_to_row(t * p.top_k + j);
            if (row >= 0 && row < p.rows) {
                sum += load_topk_weight(t, j) * load4_y(u32(row), col, count);
            } else if (row != -1) {
                report(FAULT_ROW_INDEX);
            }
        }
        store4_out(t, col, count, sum);
    }
}
