// bf16 as f16, exactly: 32 neighbours of a row are divided by one power of two that brings the largest just below 2^16. f16
// then holds all eight bits of whatever is 2^-33 of that or more. A block that spans more, has an infinity or a NaN, or
// whose scale is out of bounds does not fit: it has to be multiplied in f32.
#pragma once
#include "reduce.cuh"
#include "rows.cuh"

struct Rebased {
    uint4 halves;
    float scale; // of the block, times 2^SHIFT
    bool fits;
};

// Eight elements a lane, four lanes a block. LEAST and MOST: exponents of the scale that the caller can do with.
template <int SHIFT, int LEAST, int MOST>
__device__ __forceinline__ Rebased rebased(unsigned dtype, uint4 words) {
    if (dtype == F16) return {words, __uint_as_float(unsigned(127 + SHIFT) << 23), true};
    const unsigned pairs[4] = {words.x, words.y, words.z, words.w};
    unsigned most = 0, least = ~0u; // magnitudes; `least` less one, so that zero counts as the largest
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const unsigned low = pairs[i] << 16 & 0x7fff0000, high = pairs[i] & 0x7fff0000;
        most = max(most, max(low, high));
        least = min(least, min(low - 1, high - 1));
    }
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
        most = max(most, __shfl_xor_sync(ALL_LANES, most, step));
        least = min(least, __shfl_xor_sync(ALL_LANES, least, step));
    }
    const int top = int(most >> 23), bottom = int((least + 1) >> 23); // biased exponents
    const bool zeros = most == 0;
    const int exponent = zeros ? 0 : top - 127 - 15;
    const bool fits = zeros || (top < 255 && top - bottom <= 32 && exponent >= LEAST && exponent <= MOST);
    const float down = __uint_as_float(unsigned(127 - (fits ? exponent : 0)) << 23);
    unsigned out[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float low = __uint_as_float(pairs[i] << 16) * down, high = __uint_as_float(pairs[i] & 0xffff0000) * down;
        out[i] = f32_to_f16(low) | unsigned(f32_to_f16(high)) << 16;
    }
    return {make_uint4(out[0], out[1], out[2], out[3]), __uint_as_float(unsigned(127 + exponent + SHIFT) << 23), fits};
}
