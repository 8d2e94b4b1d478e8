// y[r] = x[sorted_assignment[r] / k], bit for bit. A workgroup a row.

@compute @workgroup_size(THREADS)
fn moe_permute(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group);
    if (row >= p.items) { return; }
    let a = int_sorted_assignment(row);
    let known = a >= 0 && u32(a) < p.items;
    if (!known && lane == 0u) { report(FAULT_ROW_INDEX); }
    for (var col = lane * 2u; col < p.dim; col += THREADS * 2u) {
        let count = min(p.dim - col, 2u);
        var words = vec2<u32>();
        if (known) {
            let t = u32(a) / p.top_k;
            words.x = bits_x(t, col);
            if (count == 2u) { words.y = bits_x(t, col + 1u); }
        }
        put2_y(row, col, count, words);
    }
}
