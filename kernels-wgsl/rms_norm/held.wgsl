// y = s / sqrt(mean(s^2) + eps) * weight, s = x or round(x + residual). A workgroup a row, of which each invocation holds EACH fours.

@compute @workgroup_size(THREADS)
fn rms_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group);
    if (row >= p.items) { return; }
    var held = array<vec4<f32>, EACH>();
    var ahead = array<vec4<f32>, EACH>(); // weights, where they are to be on their way while squares are added up
    var squares = 0.0;
    for (var i = 0u; i < EACH; i++) {
        let col = (i * THREADS + lane) * 4u;
        if (col >= p.dim) { continue; }
        let count = p.dim - col;
        if (AHEAD == 1) { ahead[i] = load4_weight(0u, col, count); }
        var s = load4_x(row, col, count);
        if (RESIDUAL == 1u) {
            s = rounded4_sum(s + load4_residual(row, col, count));
            store4_sum(row, col, count, s);
        }
        held[i] = s;
        squares += dot(s, s);
    }
    let scale = 1.0 / sqrt(workgroup_sum(squares, lane) / f32(p.dim) + p.eps);
    for (var i = 0u; i < EACH; i++) {
        let col = (i * THREADS + lane) * 4u;
        if (col >= p.dim) { continue; }
        var weight = ahead[i];
        if (AHEAD == 0) { weight = load4_weight(0u, col, p.dim - col); }
        store4_y(row, col, p.dim - col, held[i] * scale * weight);
    }
}
