// MXFP4 for matrix instructions: pairs of neighbours in 16 bits. Layouts and units are those of mxfp4_values.cuh.
#pragma once
#include "mxfp4_values.cuh"
#include "ptx/mma.cuh"
#include "ptx/pairs.cuh"

// Signs of nibbles 0..3 (FIRST 0) or 4..7 (FIRST 2) in the top bits of bytes, over their magnitudes' high bytes.
template <int FIRST>
__device__ __forceinline__ unsigned with_signs(unsigned codes, unsigned shifted, unsigned high_bytes) {
    constexpr unsigned BYTES = FIRST == 0 ? 0x5140 : 0x7362; // low nibbles from `shifted`, high ones from `codes`
    return high_bytes | (__byte_perm(shifted, codes, BYTES) & 0x80808080);
}

// What the eight magnitudes 0, .5, 1, 1.5, 2, 3, 4, 6 look like in E2M1_UNITs, byte by byte. Two constants of
// a byte permutation do not fit the instruction, so one is kept in a register, behind the compiler's back: it would load it
// again and again.
template <class T>
struct E2m1Tables;

template <>
struct E2m1Tables<MmaBf16> {
    unsigned high, low;
    __device__ __forceinline__ E2m1Tables() {
        asm volatile("mov.b32 %0, 0x3b3b3b00; mov.b32 %1, 0xc0800000;" : "=r"(high), "=r"(low));
    }
};

template <>
struct E2m1Tables<MmaF16> {
    unsigned high;
    __device__ __forceinline__ E2m1Tables() { asm volatile("mov.b32 %0, 0x1e1c1800;" : "=r"(high)); }
};

// Eight codes, the first in the lowest nibble, as pairs of bf16: 16 instructions.
__device__ __forceinline__ void e2m1_pairs(const E2m1Tables<MmaBf16>& t, unsigned codes, unsigned (&out)[4]) {
    constexpr unsigned HIGH = 0x3c3c3c3c, LOW = 0xc0804000;
    const unsigned front = codes & 0x77777777, back = front >> 16, shifted = codes << 4;
    const unsigned high_a = with_signs<0>(codes, shifted, __byte_perm(t.high, HIGH, front));
    const unsigned high_b = with_signs<2>(codes, shifted, __byte_perm(t.high, HIGH, back));
    const unsigned low_a = __byte_perm(t.low, LOW, front), low_b = __byte_perm(t.low, LOW, back);
    out[0] = __byte_perm(low_a, high_a, 0x5140);
    out[1] = __byte_perm(low_a, high_a, 0x7362);
    out[2] = __byte_perm(low_b, high_b, 0x5140);
    out[3] = __byte_perm(low_b, high_b, 0x7362);
}

// As pairs of f16, whose low byte is zero for all of them.
__device__ __forceinline__ void e2m1_pairs(const E2m1Tables<MmaF16>& t, unsigned codes, unsigned (&out)[4]) {
    constexpr unsigned HIGH = 0x26242220;
    const unsigned front = codes & 0x77777777, back = front >> 16, shifted = codes << 4;
    const unsigned high_a = with_signs<0>(codes, shifted, __byte_perm(t.high, HIGH, front));
    const unsigned high_b = with_signs<2>(codes, shifted, __byte_perm(t.high, HIGH, back));
    out[0] = __byte_perm(high_a, 0, 0x1404);
    out[1] = __byte_perm(high_a, 0, 0x3424);
    out[2] = __byte_perm(high_b, 0, 0x1404);
    out[3] = __byte_perm(high_b, 0, 0x3424);
}

// A word of a tile as the fragment's pairs, in E2M1_UNITs: 12 instructions in bf16.
__device__ __forceinline__ void tile_pairs(MmaBf16, unsigned word, unsigned (&out)[4]) {
    out[0] = tile_pair<0>(word), out[1] = tile_pair<1>(word), out[2] = tile_pair<2>(word), out[3] = tile_pair<3>(word);
#pragma unroll
    for (int i = 0; i < 4; i++) out[i] = multiply_pairs(MmaBf16{}, out[i], 0x7a807a80); // 2^118
}

// The exponent of f16 begins three bits higher: these are 2^-14 times as large.
__device__ __forceinline__ void tile_pairs(MmaF16, unsigned word, unsigned (&out)[4]) {
    out[0] = tile_pair<0>(word), out[1] = tile_pair<1>(word), out[2] = tile_pair<2>(word), out[3] = tile_pair<3>(word);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const unsigned moved = (out[i] & 0x80008000) | (out[i] & 0x01c001c0) << 3;
        out[i] = multiply_pairs(MmaF16{}, moved, 0x54005400); // 2^6
    }
}

// A scale as a pair of bf16.
__device__ __forceinline__ unsigned e8m0_pair(unsigned byte) {
    return (byte == 255 ? 0x7fff : max(byte << 7, 0x0040u)) * 0x10001; // 2^-127 is a subnormal
}

// Is one of four scales 2 or more? Then small_scale_pairs does not hold them.
__device__ __forceinline__ bool large_scales(unsigned bytes) { return bytes & 0x80808080; }

__device__ __forceinline__ void small_scale_pairs(unsigned bytes, int half, unsigned (&pairs)[2]) {
    // Exponent s + 124: with the 2^-126 of tile_pair, E2M1_SCALED_UNITs.
    const unsigned both = (bytes >> 8 * half & 0x00ff00ff) * 128 + 124 * 0x00800080;
    pairs[0] = __byte_perm(both, 0, 0x1010), pairs[1] = __byte_perm(both, 0, 0x3232);
}

// A word of a tile as the fragment's pairs times the scales of rows g and g + 8, in E2M1_SCALED_UNITs.
__device__ __forceinline__ void small_tile_pairs(unsigned word, const unsigned (&scale)[2], unsigned (&out)[4]) {
    out[0] = tile_pair<0>(word), out[1] = tile_pair<1>(word), out[2] = tile_pair<2>(word), out[3] = tile_pair<3>(word);
#pragma unroll
    for (int i = 0; i < 4; i++) out[i] = multiply_pairs(MmaBf16{}, out[i], scale[i % 2]);
}

// The same for any scales, as e8m0_pair has them: no single factor reaches that far.
__device__ __forceinline__ void scaled_tile_pairs(unsigned word, const unsigned (&scale)[2], unsigned (&out)[4]) {
    const unsigned most[2] = {0x7d807d80, 0x7d807d80}; // 2^124
    small_tile_pairs(word, most, out);
#pragma unroll
    for (int i = 0; i < 4; i++) out[i] = multiply_pairs(MmaBf16{}, out[i], scale[i % 2]);
}
