// y = s / sqrt(mean(s^2) + eps) * weight, s = x or round(x + residual). A workgroup a row.

@compute @workgroup_size(THREADS)
fn rms_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group);
    if (row >= p.items) { return; }
    var squares = 0.0;
    for (var col = lane * 4u; col < p.dim; col += THREADS * 4u) {
        let count = p.dim - col;
        var s = load4_x(row, col, count);
        if (RESIDUAL == 1u) {
            s = rounded4_sum(s + load4_residual(row, col, count));
            store4_sum(row, col, count, s);
        }
        squares += dot(s, s);
    }
    let scale = 1.0 / sqrt(workgroup_sum(squares, lane) / f32(p.dim) + p.eps);
    for (var col = lane * 4u; col < p.dim; col += THREADS * 4u) {
        let count = p.dim - col;
        // `sum` may be the memory of `x` or `residual`: what is read back is what this invocation wrote.
        var s: vec4<f32>;
        if (RESIDUAL == 1u) { s = load4_sum(row, col, count); } else { s = load4_x(row, col, count); }
        store4_y(row, col, count, s * scale * load4_weight(0u, col, count));
    }
}
