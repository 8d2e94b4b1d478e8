// e4m3, a byte: a sign, four bits of exponent with bias 7, three of mantissa; 448 the largest number, 0x7f NaN. On every
// architecture; src/dtype/e4m3.rs is the same on the host.
#pragma once

__device__ __forceinline__ float e4m3_to_f32(unsigned code) {
    // Its bits are an f32's with an exponent of another bias, subnormal numbers included.
    const float magnitude = __uint_as_float((code & 0x7f) << 20) * 0x1p120f;
    return (code & 0x7f) == 0x7f ? __uint_as_float(0x7fffffff) : code & 0x80 ? -magnitude : magnitude;
}

// To nearest, ties to even; what is larger than the largest number becomes it.
__device__ __forceinline__ unsigned char f32_to_e4m3(float value) {
    if (value != value) return 0x7f;
    const float magnitude = fminf(fabsf(value), 448.0f);
    unsigned code;
    if (magnitude < 0x1p-6f) {
        code = __float2uint_rn(magnitude * 512.0f);
    } else {
        const unsigned word = __float_as_uint(magnitude);
        code = ((word + 0x7ffff + (word >> 20 & 1)) >> 20) - (120 << 3);
    }
    return code | __float_as_uint(value) >> 31 << 7;
}
