// The gated unit: g * sigmoid(alpha g) * (u + offset), g clamped from above, u on both sides. Written with comparisons, because
// min and max may lose a NaN.

fn at_most(x: f32, limit: f32) -> f32 {
    return select(x, limit, x > limit);
}

fn swiglu(gate: f32, up: f32) -> f32 {
    let g = at_most(gate, p.limit);
    let u = -at_most(-at_most(up, p.limit), p.limit);
    return g / (1.0 + exp(-p.alpha * g)) * (u + p.up_offset);
}
