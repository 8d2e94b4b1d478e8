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

// Instructions for eight elements a lane, k of 16.
constexpr int MFMA_PARTS = 8 / MFMA_EACH;

template <class Elements> struct MfmaParts {
    Elements part[MFMA_PARTS];
};

template <class Elements> __device__ __forceinline__ Sums mfma_part(uint4 a, uint4 b, Sums c, int part) {
    using Parts = MfmaParts<Elements>;
    return mfma(__builtin_bit_cast(Parts, a).part[part], __builtin_bit_cast(Parts, b).part[part], c);
}

template <class Elements> __device__ __forceinline__ Sums mfma16(uint4 a, uint4 b, Sums c) {
#pragma unroll
    for (int part = 0; part < MFMA_PARTS; part++) c = mfma_part<Elements>(a, b, c, part);
    return c;
}

#if defined(__gfx90a__)
// Its matrix instructions take subnormal operands and sums for zeros, but for those of f32. Of operands that are zero or at
// least these, as bits of 16, nothing is lost: of bf16 2^-55, whose products' sums are multiples of 2^-124.
constexpr bool MFMA_FLUSHES = true;
template <class Elements> constexpr unsigned MFMA_LEAST = 72 << 7;
template <> constexpr unsigned MFMA_LEAST<F16s> = 1 << 10;

// Is one of eight elements a number below `least`?
__device__ __forceinline__ bool below(uint4 words, unsigned least) {
    const unsigned pairs[4] = {words.x, words.y, words.z, words.w};
    unsigned smallest = ~0u;
#pragma unroll
    for (int i = 0; i < 4; i++) { // zero less one is the largest
        smallest = min(smallest, min((pairs[i] << 16 & 0x7fff0000) - 1, (pairs[i] & 0x7fff0000) - 1));
    }
    return smallest < (least << 16) - 1;
}

// Element i of a pair.
template <class Elements> __device__ __forceinline__ float wide(unsigned pair, int i) {
    if constexpr (__is_same(Elements, F16s)) return float(__builtin_bit_cast(_Float16, (unsigned short)(pair >> 16 * i)));
    else return __uint_as_float(i ? pair & 0xffff0000 : pair << 16);
}

// The same in f32, at a quarter of the rate.
template <class Elements> __device__ __forceinline__ Sums mfma_part_exact(uint4 a, uint4 b, Sums c, int part) {
    const unsigned as[4] = {a.x, a.y, a.z, a.w}, bs[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = part * MFMA_EACH; i < (part + 1) * MFMA_EACH; i++) {
        c = __builtin_amdgcn_mfma_f32_32x32x2f32(wide<Elements>(as[i / 2], i % 2), wide<Elements>(bs[i / 2], i % 2), c, 0, 0, 0);
    }
    return c;
}
#else
constexpr bool MFMA_FLUSHES = false;

template <class Elements> __device__ __forceinline__ Sums mfma_part_exact(uint4 a, uint4 b, Sums c, int part) {
    return mfma_part<Elements>(a, b, c, part);
}
#endif

// 16 rows x 16 columns. Lane l gives eight of 32 k of row (column) l % 16; of the sums it holds column l % 16, element i is row
// 4 * (l / 16) + i. Exact, so that on gfx90a it is in f32.
typedef float Sums16 __attribute__((ext_vector_type(4)));

template <class Elements> __device__ __forceinline__ Sums16 mfma_16x16(uint4 a, uint4 b, Sums16 c) {
#if defined(__gfx90a__)
    const unsigned as[4] = {a.x, a.y, a.z, a.w}, bs[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = 0; i < 8; i++) {
        c = __builtin_amdgcn_mfma_f32_16x16x4f32(wide<Elements>(as[i / 2], i % 2), wide<Elements>(bs[i / 2], i % 2), c, 0, 0, 0);
    }
    return c;
#else
    using Parts = MfmaParts<Elements>;
    const Parts as = __builtin_bit_cast(Parts, a), bs = __builtin_bit_cast(Parts, b);
#pragma unroll
    for (int i = 0; i < MFMA_PARTS; i++) {
#if defined(__gfx950__)
        if constexpr (__is_same(Elements, F16s)) c = __builtin_amdgcn_mfma_f32_16x16x32_f16(as.part[i], bs.part[i], c, 0, 0, 0);
        else c = __builtin_amdgcn_mfma_f32_16x16x32_bf16(as.part[i], bs.part[i], c, 0, 0, 0);
#else
        if constexpr (__is_same(Elements, F16s)) c = __builtin_amdgcn_mfma_f32_16x16x16f16(as.part[i], bs.part[i], c, 0, 0, 0);
        else c = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(as.part[i], bs.part[i], c, 0, 0, 0);
#endif
    }
    return c;
#endif
}
