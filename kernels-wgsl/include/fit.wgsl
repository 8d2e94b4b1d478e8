// Numbers as f16: divided by the power of two that brings the largest of them just below 2^16. Exactly, where none is 2^-33 of the
// largest or less.
const LEAST_EXPONENT: i32 = -116; // a product with the smallest scale of a block stays normal

// Magnitudes as bits of f32; the smaller one less one, so that zero counts as the largest.
struct Extremes {
    most: u32,
    least: u32,
}

struct Fit {
    exponent: i32,
    fits: bool,
}

fn widened(known: Extremes, four: vec4<f32>) -> Extremes {
    let high = bitcast<vec4<u32>>(four) & vec4<u32>(0x7fffffffu);
    let low = high - 1u;
    return Extremes(max(known.most, max(max(high.x, high.y), max(high.z, high.w))),
        min(known.least, min(min(low.x, low.y), min(low.z, low.w))));
}

fn fit_of(extremes: Extremes) -> Fit {
    if (extremes.most == 0u) { return Fit(0, true); }
    let top = i32(extremes.most >> 23u);
    let bottom = i32((extremes.least + 1u) >> 23u);
    let exponent = top - 127 - 15;
    if (top == 255 || top - bottom > 32 || exponent < LEAST_EXPONENT) { return Fit(0, false); }
    return Fit(exponent, true);
}
