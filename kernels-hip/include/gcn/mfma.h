// Matrix instructions of gfx90a, gfx942 and gfx950 with f32 sums: 32 rows x 32 columns. Lane l gives, of row (column) l % 32, the
// MFMA_EACH neighbours in k from MFMA_EACH * (l / 32) on. Of the sums it holds column l % 32; element i is row mfma_row(i).
#pragma once

typedef float Sums __attribute__((ext_vector_type(16)));

#if defined(__gfx950__)
constexpr int MFMA_EACH = 8;
typedef __bf16 Bf16s __attribute__((ext_vector_type(8)));
#else
constexpr int MFMA_EACH = 4;
typedef short Bf16s __attribute__((ext_vector_type(4)));
#endif
typedef _Float16 F16s __attribute__((ext_vector_type(MFMA_EACH)));

constexpr int MFMA_K = 2 * MFMA_EACH;

__device__ __forceinline__ Sums mfma(Bf16s a, Bf16s b, Sums c) {
#if defined(__gfx950__)
    return __builtin_amdgcn_mfma_f32_32x32x16_bf16(a, b, c, 0, 0, 0);
#else
    return __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(a, b, c, 0, 0, 0);
#endif
}

__device__ __forceinline__ Sums mfma(F16s a, F16s b, Sums c) {
#if defined(__gfx950__)
    return __builtin_amdgcn_mfma_f32_32x32x16_f16(a, b, c, 0, 0, 0);
#else
    return __builtin_amdgcn_mfma_f32_32x32x8f16(a, b, c, 0, 0, 0);
#endif
}

__device__ __forceinline__ int mfma_row(int i) { return 8 * (i / 4) + 4 * int(wave_lane() / 32) + i % 4; }
