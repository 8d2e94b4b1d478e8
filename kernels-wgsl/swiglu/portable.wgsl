// y[r, i] = swiglu(gate_up[r, ..]). A workgroup a row, an invocation two columns.

@compute @workgroup_size(THREADS)
fn swiglu_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group);
    if (row >= p.items) { return; }
    for (var col = lane * 2u; col < p.inner; col += THREADS * 2u) {
        let count = min(p.inner - col, 2u);
        var y = vec2<f32>();
        for (var i = 0u; i < count; i++) {
            let gate = select(2u * (col + i), col + i, HALVES == 1u);
            let up = select(gate + 1u, p.inner + col + i, HALVES == 1u);
            y[i] = swiglu(load_gate_up(row, gate), load_gate_up(row, up));
        }
        store2_y(row, col, count, y);
    }
}
