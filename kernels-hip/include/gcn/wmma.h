// Matrix instructions of gfx11 and gfx12 with f32 sums: 16 rows x 16 columns x 16, by a wave of 32 lanes. Lane l gives row (column)
// l % 16: on gfx11 all of k, the same in both halves of the wave; on gfx12 eight neighbours in k, the other half the other eight.
// Of the sums it holds column l % 16; element i is row wmma_row(i).
// No guide says what becomes of subnormal numbers: they are taken to follow the wave's mode, which keeps them, as everywhere else.
// That is for the first device to confirm (`verify` has cases of them).
#pragma once

typedef float Sums __attribute__((ext_vector_type(8)));

#if defined(__GFX12__)
constexpr int WMMA_EACH = 8;
#else
constexpr int WMMA_EACH = 16;
#endif
typedef short Bf16s __attribute__((ext_vector_type(WMMA_EACH)));
typedef _Float16 F16s __attribute__((ext_vector_type(WMMA_EACH)));

__device__ __forceinline__ Sums wmma(Bf16s a, Bf16s b, Sums c) {
#if defined(__GFX12__)
    return __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12(a, b, c);
#else
    return __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(a, b, c);
#endif
}

__device__ __forceinline__ Sums wmma(F16s a, F16s b, Sums c) {
#if defined(__GFX12__)
    return __builtin_amdgcn_wmma_f32_16x16x16_f16_w32_gfx12(a, b, c);
#else
    return __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(a, b, c);
#endif
}

// The lane's part of 16 neighbours of its row. The instruction wants four and four of gfx12's eight elsewhere in k; that both factors
// are the same way out of order does not change the sum.
template <class Factor> __device__ __forceinline__ Factor wmma_factor(const unsigned short* row) {
    struct {
        uint4 words[WMMA_EACH / 8];
    } factor;
    const uint4* from = (const uint4*)(row + (WMMA_EACH == 8 ? wave_lane() / 16 * 8 : 0));
#pragma unroll
    for (int i = 0; i < WMMA_EACH / 8; i++) factor.words[i] = from[i];
    return __builtin_bit_cast(Factor, factor);
}

__device__ __forceinline__ int wmma_row(int i) {
    const int half = wave_lane() / 16;
    return WMMA_EACH == 8 ? 8 * half + i : 2 * i + half;
}
