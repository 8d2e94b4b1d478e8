// y[t] = table[ids[t]]; zeros for an id outside the table. A workgroup a token.

@compute @workgroup_size(THREADS)
fn embedding(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    let id = int_ids(t);
    let known = id >= 0 && id < p.vocab;
    if (!known && lane == 0u) { report(FAULT_TOKEN_ID); }
    for (var col = lane * 4u; col < p.dim; col += THREADS * 4u) {
        let count = p.dim - col;
        var row = vec4<f32>();
        if (known) { row = load4_table(u32(id), col, count); }
        store4_y(t, col, count, row);
    }
}
