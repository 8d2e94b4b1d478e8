// A tile's word as bf16 fragments with their block scales in them, for kernels that have no time to scale sums. Codes are
// bf16 2^-126 times as large, so the factor of a block is 2^(scale - 1), and it comes as 2^(scale - 1 - SHIFT), the exponent
// field scale + 126 - SHIFT: exact for scales from SHIFT on and below SHIFT + 128. Whoever adds up multiplies by
// SCALED_UNIT in the end. Other scales take the way of exact.cuh.
#pragma once
#include "mxfp4.cuh"

constexpr int SHIFT = 16;
constexpr float SCALED_UNIT = 0x1p16f;

// Becomes 0x80 in every byte as long as all scales were in range: bytes of a sum with 128 - SHIFT have their top bit set.
// A carry comes from a scale out of range alone, and is noticed there.
__device__ __forceinline__ unsigned in_range(unsigned scales) { return scales + 0x01010101 * (128 - SHIFT); }

// The words of a lane's scales, tile_scales() of its rows: factors of rows g (0) and g + 8 (1) in half h.
__device__ __forceinline__ unsigned block_factor(unsigned scales, int row, int h) {
    const unsigned scale = scales >> (16 * row + 8 * h) & 255;
    return scale * 0x00800080 + (126 - SHIFT) * 0x00800080;
}

__device__ __forceinline__ void scaled_pairs(unsigned word, unsigned low_rows, unsigned high_rows, unsigned* out) {
    out[0] = multiply_pairs(MmaBf16{}, tile_pair<0>(word), low_rows);
    out[1] = multiply_pairs(MmaBf16{}, tile_pair<1>(word), high_rows);
    out[2] = multiply_pairs(MmaBf16{}, tile_pair<2>(word), low_rows);
    out[3] = multiply_pairs(MmaBf16{}, tile_pair<3>(word), high_rows);
}
