// What all lanes of a wave hold alike, for the scalar unit; and weights as factors.
#pragma once
#include "../../kernels-cuda/flash_attn/tile.cuh"

__device__ __forceinline__ int scalar(int value) { return __builtin_amdgcn_readfirstlane(value); }
__device__ __forceinline__ Keys scalar(Keys keys) { return {scalar(keys.first), scalar(keys.last)}; }
__device__ __forceinline__ Tile scalar(const Tile& t) {
    const Sequence& s = t.s;
    return {{scalar(s.id), scalar(s.q_first), scalar(s.q_len), scalar(s.k_first), scalar(s.k_len)},
            scalar(t.kv_head), scalar(t.group), scalar(t.first), scalar(t.last), scalar(t.some), scalar(t.all)};
}

// Two weights, rounded to nearest.
__device__ __forceinline__ unsigned round_two(F16s, float low, float high) {
    return f32_to_f16(low) | unsigned(f32_to_f16(high)) << 16;
}
__device__ __forceinline__ unsigned round_two(Bf16s, float low, float high) {
#if defined(__gfx950__)
    return f32_to_bf16(low) | unsigned(f32_to_bf16(high)) << 16;
#else
    // Ties away from zero: weights are positive and never near the end of the range, so that a sum and a byte permutation do.
    return __builtin_amdgcn_perm(__float_as_uint(high) + 0x8000, __float_as_uint(low) + 0x8000, 0x07060302);
#endif
}
