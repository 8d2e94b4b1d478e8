// y = s / sqrt(mean(s^2) + eps) * weight, s = x or round(x + residual). A workgroup a row, of which each invocation holds EACH fours.

// Of a row whose fours are whole all words are asked for before the first is used; what is behind its end is asked for again instead.
struct Held {
    x: array<vec4<f32>, EACH>,
    residual: array<vec4<f32>, EACH>,
    weight: array<vec4<f32>, EACH>,
}

fn whole(row: u32, lane: u32) -> Held {
    var x = array<vec4<u32>, EACH>();
    var residual = array<vec4<u32>, EACH>();
    var weight = array<vec4<u32>, EACH>();
    for (var i = 0u; i < EACH; i++) {
        let col = min((i * THREADS + lane) * 4u, p.dim - 4u);
        x[i] = words4_x(row, col);
        if (RESIDUAL == 1u) { residual[i] = words4_residual(row, col); }
        weight[i] = words4_weight(0u, col);
    }
    var held = Held();
    for (var i = 0u; i < EACH; i++) {
        held.x[i] = decoded4_x(x[i]);
        if (RESIDUAL == 1u) { held.residual[i] = decoded4_residual(residual[i]); }
        held.weight[i] = decoded4_weight(weight[i]);
    }
    return held;
}

fn any_fours(row: u32, lane: u32) -> Held {
    var held = Held();
    for (var i = 0u; i < EACH; i++) {
        let col = (i * THREADS + lane) * 4u;
        if (col >= p.dim) { continue; }
        held.x[i] = load4_x(row, col, p.dim - col);
        if (RESIDUAL == 1u) { held.residual[i] = load4_residual(row, col, p.dim - col); }
        held.weight[i] = load4_weight(0u, col, p.dim - col);
    }
    return held;
}

@compute @workgroup_size(THREADS)
fn rms_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group);
    if (row >= p.items) { return; }
    var held: Held;
    if (p.dim % 4u == 0u) { held = whole(row, lane); } else { held = any_fours(row, lane); }
    var squares = 0.0;
    for (var i = 0u; i < EACH; i++) {
        let col = (i * THREADS + lane) * 4u;
        if (col >= p.dim) { continue; }
        if (RESIDUAL == 1u) {
            held.x[i] = rounded4_sum(held.x[i] + held.residual[i]);
            store4_sum(row, col, p.dim - col, held.x[i]);
        }
        squares += dot(held.x[i], held.x[i]);
    }
    let scale = 1.0 / sqrt(workgroup_sum(squares, lane) / f32(p.dim) + p.eps);
    for (var i = 0u; i < EACH; i++) {
        let col = (i * THREADS + lane) * 4u;
        if (col >= p.dim) { continue; }
        store4_y(row, col, p.dim - col, held.x[i] * scale * held.weight[i]);
    }
}
