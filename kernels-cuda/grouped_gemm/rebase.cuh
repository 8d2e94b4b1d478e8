// bf16 as f16, exactly: 32 neighbours of a row are multiplied by one power of two that brings the largest just below 2^16.
// f16 then holds all eight bits of whatever is 2^-33 of that or more. A block that spans more, has an infinity or a NaN, or
// is so small or large that its scale leaves f32 does not fit; its step is multiplied in f32 (`add_in_f32`).
#pragma once
#include "rows.cuh"

// Rows of `a` give 2^-24 of their scale to the weights': a block's sum times the first alone does not overflow.
constexpr int SHIFT = 24;

struct Rebased {
    uint4 halves;
    float scale; // of the block, in all of its lanes
    bool fits;
};

// Eight elements a lane, four lanes a block, all lanes of the warp together. `shift` is what the exponent of the scale gains.
__device__ __forceinline__ Rebased rebased(unsigned dtype, uint4 words, int shift) {
    const unsigned pairs[4] = {words.x, words.y, words.z, words.w};
    if (dtype == F16) return {words, exp2f(float(shift)), true};
    // Magnitudes without zeros: as unsigned numbers one less, zero is the largest.
    unsigned most = 0, least = ~0u;
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
    const int top = int(most >> 23), bottom = int((least + 1) >> 23); // biased exponents; 0 is that of subnormals
    // A block of zeros keeps the scale 1.
    const int exponent = most == 0 ? 0 : top - 127 - 15;
    const bool fits = most == 0 || (top < 255 && top - bottom <= 32 && exponent - SHIFT >= -101 && exponent + shift <= 127);
    const float down = __uint_as_float(unsigned(127 - (fits ? exponent : 0)) << 23);
    unsigned out[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float low = __uint_as_float(pairs[i] << 16) * down, high = __uint_as_float(pairs[i] & 0xffff0000) * down;
        out[i] = f32_to_f16(low) | unsigned(f32_to_f16(high)) << 16;
    }
    return {make_uint4(out[0], out[1], out[2], out[3]), __uint_as_float(unsigned(127 + exponent + shift) << 23), fits};
}
