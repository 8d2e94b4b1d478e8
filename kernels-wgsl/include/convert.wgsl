// Numbers of 16 and of 8 bits, by their bits: what a driver's own conversions do with subnormal numbers, ties and NaN is its own choice.

fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

fn f32_of_bf16(bits: u32) -> f32 {
    return bitcast<f32>(bits << 16u);
}

fn bf16_of_f32(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    if (is_nan(value)) { return (bits >> 16u) | 0x0040u; }
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

fn f32_of_f16(bits: u32) -> f32 {
    let sign = (bits & 0x8000u) << 16u;
    let magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) { return bitcast<f32>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13u)); }
    if (magnitude >= 0x0400u) { return bitcast<f32>(sign | ((magnitude << 13u) + 0x38000000u)); }
    // Subnormal: a whole number of 2^-24, which is normal in f32.
    return bitcast<f32>(sign | bitcast<u32>(f32(magnitude) * 5.9604644775390625e-8));
}

fn f16_of_f32(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    let sign = (bits >> 16u) & 0x8000u;
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
    if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
    if (magnitude >= 0x38800000u) {
        return sign | (((magnitude + 0x0fffu + ((magnitude >> 13u) & 1u)) >> 13u) - 0x1c000u);
    }
    return sign | steps_of(magnitude, 126u - (magnitude >> 23u));
}

// A number below the normal ones in steps of the smallest one, which is 2^shift of the last bits of its mantissa.
fn steps_of(magnitude: u32, shift: u32) -> u32 {
    if (shift > 24u) { return 0u; }
    let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    let kept = mantissa >> shift;
    let rest = mantissa & ((1u << shift) - 1u);
    let tie = 1u << (shift - 1u);
    return kept + select(0u, 1u, rest > tie || (rest == tie && (kept & 1u) == 1u));
}

// `src/dtype/e4m3.rs`: no infinities, NaN where all seven bits are set.
fn f32_of_f8e4m3(code: u32) -> f32 {
    let sign = (code & 0x80u) << 24u;
    let magnitude = code & 0x7fu;
    if (magnitude == 0x7fu) { return bitcast<f32>(sign | 0x7fc00000u); }
    if (magnitude >= 8u) { return bitcast<f32>(sign | ((magnitude << 20u) + 0x3c000000u)); }
    return bitcast<f32>(sign | bitcast<u32>(f32(magnitude) * 0.001953125));
}

// What is larger than the largest number becomes it.
fn f8e4m3_of_f32(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    if (is_nan(value)) { return 0x7fu; }
    let sign = (bits >> 24u) & 0x80u;
    let magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x43e00000u) { return sign | 0x7eu; }
    if (magnitude >= 0x3c800000u) {
        return sign | (((magnitude + 0x7ffffu + ((magnitude >> 20u) & 1u)) >> 20u) - 0x3c0u);
    }
    return sign | steps_of(magnitude, 141u - (magnitude >> 23u));
}
