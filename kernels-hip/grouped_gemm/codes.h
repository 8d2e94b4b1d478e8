// Eight MXFP4 weights as codes, and codes as bf16 or f16 by tables of bytes.
#pragma once
#include "../../kernels-cuda/grouped_gemm/weights.cuh"

// Codes k .. k + 8 of row n, from the lowest four bits on.
__device__ __forceinline__ unsigned load_codes(const GroupedGemmParams& p, int expert, int n, int k) {
    const unsigned char* at = weight_bytes(p, expert, n, k);
    if (p.format == MXFP4) return *(const unsigned*)(at + k / 2);
    unsigned codes = 0;
    if (p.format == MXFP4_GGUF) {
        const int j = k % 32;
#pragma unroll
        for (int i = 0; i < 8; i++) codes |= (at[1 + j % 16 + i] >> (j < 16 ? 0 : 4) & 15u) << 4 * i;
        return codes;
    }
    const int r = n % TILE_ROWS, high = k % 16 / 8;
    const unsigned char* words = at + r % 8 * 64 + k % TILE_K / 16 * 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const unsigned word = *(const unsigned*)(words + i * 16);
        const unsigned pair = r < 8 ? (high ? tile_pair<2>(word) : tile_pair<0>(word))
                                    : (high ? tile_pair<3>(word) : tile_pair<1>(word));
        // Of a half, bit 15 is the sign and bits 8 to 6 are the rest of the code.
        const unsigned both = (pair >> 6 & 0x00070007) | (pair >> 12 & 0x00080008);
        codes |= (both | both >> 12) << 8 * i & 0xffu << 8 * i;
    }
    return codes;
}

// Bytes of the eight values without a sign.
struct ByteTables {
    unsigned high[2], low[2];
    bool both; // are not all low bytes zero?
};
// In E2M1_UNITs.
constexpr ByteTables OF_BF16 = {{0x3b3b3b00, 0x3c3c3c3c}, {0xc0800000, 0xc0804000}, true};
constexpr ByteTables OF_F16 = {{0x1e1c1800, 0x26242220}, {0, 0}, false};

__device__ __forceinline__ unsigned permute(unsigned high, unsigned low, unsigned at) {
    return __builtin_amdgcn_perm(high, low, at);
}

// In bf16 with the scale, in E2M1_SCALED_UNITs: exact, whatever the scale.
__device__ __forceinline__ ByteTables scaled_tables(float scale) {
    const auto pair = [scale](float even, float odd) { // both halves are exact
        return permute(__float_as_uint(odd * scale), __float_as_uint(even * scale), 0x07060302);
    };
    const unsigned first = pair(0.0f, 0x1p-3f), second = pair(0x1p-2f, 0x1.8p-2f);
    const unsigned third = pair(0x1p-1f, 0x1.8p-1f), fourth = pair(1.0f, 1.5f);
    return {{permute(second, first, 0x07050301), permute(fourth, third, 0x07050301)},
            {permute(second, first, 0x06040200), permute(fourth, third, 0x06040200)},
            true};
}

// The values of eight codes.
__device__ __forceinline__ uint4 from_codes(const ByteTables& tables, unsigned codes) {
    const unsigned even = codes << 4;
    unsigned out[4];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const unsigned four = permute(codes, even, i ? 0x07030602 : 0x05010400); // codes in the top halves of bytes
        const unsigned at = four >> 4 & 0x07070707;
        const unsigned high = permute(tables.high[1], tables.high[0], at) | (four & 0x80808080);
        const unsigned low = tables.both ? permute(tables.low[1], tables.low[0], at) : 0;
        out[2 * i] = permute(high, low, 0x05010400), out[2 * i + 1] = permute(high, low, 0x07030602);
    }
    return make_uint4(out[0], out[1], out[2], out[3]);
}
