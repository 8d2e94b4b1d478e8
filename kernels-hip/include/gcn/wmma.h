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

struct FactorWords {
    uint4 eights[WMMA_EACH / 8];
};

// First of the 16 neighbours in k that the lane gives. The instruction wants four and four of gfx12's eight elsewhere; that both
// factors are out of order the same way does not change the sum.
__device__ __forceinline__ int wmma_first() { return WMMA_EACH == 8 ? wave_lane() / 16 * 8 : 0; }

// The lane's part of 16 neighbours of its row.
template <class Factor> __device__ __forceinline__ Factor wmma_factor(const unsigned short* row) {
    FactorWords words;
#pragma unroll
    for (int i = 0; i < WMMA_EACH / 8; i++) words.eights[i] = ((const uint4*)(row + wmma_first()))[i];
    return __builtin_bit_cast(Factor, words);
}

__device__ __forceinline__ int wmma_row(int i) {
    const int half = wave_lane() / 16;
    return WMMA_EACH == 8 ? 8 * half + i : 2 * i + half;
}

// Where a row of the first factor goes so that a lane gets the sums of eight neighbours: of rows 8 * (l / 16) on.
__device__ __forceinline__ int wmma_place(int row) {
    return WMMA_EACH == 8 ? row : (row & ~15) | (row & 7) << 1 | (row >> 3 & 1);
}

// What the lane 16 on, or back, holds.
__device__ __forceinline__ unsigned other_half(unsigned value) {
    return __builtin_amdgcn_permlanex16(value, value, 0x76543210, 0xfedcba98, false, false);
}
__device__ __forceinline__ float other_half(float value) { return __uint_as_float(other_half(__float_as_uint(value))); }
