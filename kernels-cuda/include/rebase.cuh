// bf16 as f16, exactly: neighbours in a row are divided by one power of two that brings the largest just below 2^16. f16
// then holds all eight bits of whatever is 2^-33 of that or more. Neighbours that span more, with an infinity or a NaN
// among them, or whose exponent is out of bounds do not fit: they have to be multiplied in f32.
#pragma once
#include "reduce.cuh"
#include "rows.cuh"

// Pairs of 16 bits, the first element low.
__device__ __forceinline__ float low_bf16(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_bf16(unsigned pair) { return __uint_as_float(pair & 0xffff0000); }

__device__ __forceinline__ unsigned pair_f16(float low, float high) {
    return f32_to_f16(low) | unsigned(f32_to_f16(high)) << 16;
}

__device__ __forceinline__ float power_of_two(int exponent) { return __uint_as_float(unsigned(127 + exponent) << 23); }

// The range of neighbours.
struct Span {
    unsigned most = 0, least = ~0u; // magnitudes as bits of f32; `least` less one, so that zero counts as the largest

    __device__ __forceinline__ void add(unsigned pair) {
        const unsigned low = pair << 16 & 0x7fff0000, high = pair & 0x7fff0000;
        most = max(most, max(low, high));
        least = min(least, min(low - 1, high - 1));
    }

    // With those of the other lanes of LANES.
    template <int LANES>
    __device__ __forceinline__ void share() {
#pragma unroll
        for (int step = 1; step < LANES; step *= 2) {
            most = max(most, __shfl_xor_sync(ALL_LANES, most, step));
            least = min(least, __shfl_xor_sync(ALL_LANES, least, step));
        }
    }
};

// Exponents that the user of a scale can do with.
template <int LEAST, int MOST>
struct Rebase {
    unsigned dtype;
    int exponent; // what f16 holds is 2^-exponent times as large
    bool fits, zeros;

    __device__ __forceinline__ Rebase(unsigned dtype, Span span)
        : dtype(dtype), exponent(0), fits(true), zeros(span.most == 0) {
        if (dtype == F16) return;
        const int top = int(span.most >> 23), bottom = int((span.least + 1) >> 23); // biased
        exponent = zeros ? LEAST : top - 127 - 15;
        fits = zeros || (top < 255 && top - bottom <= 32 && exponent >= LEAST && exponent <= MOST);
        if (!fits) exponent = 0;
    }

    __device__ __forceinline__ unsigned operator()(unsigned pair) const {
        if (dtype == F16) return pair;
        const float down = power_of_two(-exponent);
        return pair_f16(low_bf16(pair) * down, high_bf16(pair) * down);
    }
};

// Eight neighbours a lane, LANES lanes together.
template <int LANES, int LEAST, int MOST>
__device__ __forceinline__ Rebase<LEAST, MOST> rebase(unsigned dtype, uint4& words) {
    Span span;
    span.add(words.x), span.add(words.y), span.add(words.z), span.add(words.w);
    span.share<LANES>();
    const Rebase<LEAST, MOST> to(dtype, span);
    words = make_uint4(to(words.x), to(words.y), to(words.z), to(words.w));
    return to;
}
