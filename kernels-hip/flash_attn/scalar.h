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
#if defined(__gfx950__)
template <class Half> __device__ __forceinline__ unsigned convert_two(float low, float high) {
    typedef float Wide __attribute__((ext_vector_type(2)));
    typedef Half Two __attribute__((ext_vector_type(2)));
    return __builtin_bit_cast(unsigned, __builtin_convertvector((Wide{low, high}), Two)); // one instruction
}
__device__ __forceinline__ unsigned round_two(F16s, float low, float high) { return convert_two<_Float16>(low, high); }
__device__ __forceinline__ unsigned round_two(Bf16s, float low, float high) { return convert_two<__bf16>(low, high); }
#else
__device__ __forceinline__ unsigned round_two(F16s, float low, float high) {
    return f32_to_f16(low) | unsigned(f32_to_f16(high)) << 16;
}
// Ties away from zero: weights are positive and never near the end of the range, so that a sum and a byte permutation do.
__device__ __forceinline__ unsigned round_two(Bf16s, float low, float high) {
    return __builtin_amdgcn_perm(__float_as_uint(high) + 0x8000, __float_as_uint(low) + 0x8000, 0x07060302);
}
#endif
