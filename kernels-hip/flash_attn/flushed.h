// gfx90a's matrix units take subnormal numbers of 16 bits, and subnormal sums, for zeros. Where queries, keys or values are too
// small for them, products are of f32, at a quarter of the rate. Elsewhere nothing is flushed, and nothing of this is compiled.
#pragma once
#include "../../kernels-cuda/flash_attn/tile.cuh"
#include "gcn/mfma.h"

constexpr int WAVES = WARPS / 2;

template <class Factor> __device__ __forceinline__ bool flushed(uint4 eight) {
#if defined(__gfx90a__)
    return below(eight, MFMA_LEAST<Factor>);
#else
    return false;
#endif
}

// Whether a wave stored something that is.
struct Flushed {
#if defined(__gfx90a__)
    int waves[WAVES];
    __device__ __forceinline__ void note(bool one) { waves[threadIdx.x / 64] = __builtin_amdgcn_ballot_w64(one) != 0; }
    __device__ __forceinline__ bool any() const {
        int all = 0;
#pragma unroll
        for (int i = 0; i < WAVES; i++) all |= waves[i];
        return __builtin_amdgcn_readfirstlane(all) != 0;
    }
#else
    __device__ __forceinline__ void note(bool) {}
    __device__ __forceinline__ bool any() const { return false; }
#endif
};

// Sums + a b, k of 16.
template <bool EXACT, class Factor> __device__ __forceinline__ Sums product(uint4 a, uint4 b, Sums sums) {
#pragma unroll
    for (int part = 0; part < MFMA_PARTS; part++) {
        sums = EXACT ? mfma_part_exact<Factor>(a, b, sums, part) : mfma_part<Factor>(a, b, sums, part);
    }
    return sums;
}

// Can sums of those products be subnormal?
template <class Factor> constexpr bool SMALL_SUMS = MFMA_FLUSHES && __is_same(Factor, Bf16s);

// The largest weight is 2^RAISE to 2^(RAISE + ROOM): where subnormal weights of f16 would be lost, as large as f16 can hold, so
// that none above 2^-29 of the largest is.
template <class Factor> constexpr float RAISE = 0.0f;
template <class Factor> constexpr float ROOM = SLACK;
#if defined(__gfx90a__)
template <> constexpr float RAISE<F16s> = 15.0f;
template <> constexpr float ROOM<F16s> = 0.0f;
#endif
