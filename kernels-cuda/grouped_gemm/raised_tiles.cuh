// The cheapest way to multiply a tile's word: its pairs as they are, bf16 2^-126 times as large and subnormal, which mma honours,
// and block scales on the f32 sums of their 32 elements. So that no product falls below what f32 holds, the other operand
// comes 2^RAISE times as large; rows for which that is not exact, or still too small, take the way of scaled_tiles.cuh.
#pragma once
#include "mxfp4.cuh"
#include "scaled_tiles.cuh"

constexpr int RAISE = 100;

// Are all numbers, raised, finite, and zero or at least 2^26? Then the least product is 2^-101, and what a sum of
// 32 could lose below 2^-126 is less than its rounding.
struct RaisedRange {
    unsigned most = 0, least = 0x7fff7fff;

    __device__ __forceinline__ unsigned raise(unsigned pair) {
        const unsigned raised = multiply_pairs(MmaBf16{}, pair, (127 + RAISE) * 0x00800080), size = raised & 0x7fff7fff;
        most = __vmaxu2(most, size);
        least = __vmins2(least, size + 0x7fff7fff); // signed, so that zero counts as the largest
        return raised;
    }

    __device__ __forceinline__ bool holds() const {
        constexpr int LEAST = ((127 + 26) << 7) - 1 - 0x8000;
        return (most & 0xffff) < 0x7f80 && most >> 16 < 0x7f80 && short(least) >= LEAST && int(least) >> 16 >= LEAST;
    }
};

// What the sum of a block of row g (0) or g + 8 (1) in half h is multiplied by: scales of scaled_tiles.cuh's range fit.
__device__ __forceinline__ float raised_factor(unsigned scales, int row, int h) {
    return __uint_as_float(__byte_perm(scales, 0, 0x4440 + 2 * row + h) * 0x00800000 + (126 - RAISE) * 0x00800000);
}

__device__ __forceinline__ void raised_pairs(unsigned word, unsigned* out) {
    out[0] = tile_pair<0>(word), out[1] = tile_pair<1>(word), out[2] = tile_pair<2>(word), out[3] = tile_pair<3>(word);
}
