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

// Bytes of the eight values without a sign, in E2M1_UNITs.
struct ByteTables {
    unsigned high[2], low[2];
};
constexpr ByteTables OF_BF16 = {{0x3b3b3b00, 0x3c3c3c3c}, {0xc0800000, 0xc0804000}};
constexpr ByteTables OF_F16 = {{0x1e1c1800, 0x26242220}, {0, 0}};

// The values of eight codes, in E2M1_UNITs.
__device__ __forceinline__ uint4 from_codes(const ByteTables& tables, unsigned codes) {
    const unsigned even = codes & 0x07070707, odd = codes >> 4 & 0x07070707;
    const auto look = [](const unsigned (&table)[2], unsigned at) { return __builtin_amdgcn_perm(table[1], table[0], at); };
    const unsigned high_even = look(tables.high, even) | (codes << 4 & 0x80808080);
    const unsigned high_odd = look(tables.high, odd) | (codes & 0x80808080);
    const unsigned low_even = look(tables.low, even), low_odd = look(tables.low, odd);
    // Values 0, 2 and 1, 3, then 4, 6 and 5, 7.
    const unsigned first_even = __builtin_amdgcn_perm(high_even, low_even, 0x05010400);
    const unsigned first_odd = __builtin_amdgcn_perm(high_odd, low_odd, 0x05010400);
    const unsigned last_even = __builtin_amdgcn_perm(high_even, low_even, 0x07030602);
    const unsigned last_odd = __builtin_amdgcn_perm(high_odd, low_odd, 0x07030602);
    return make_uint4(
        __builtin_amdgcn_perm(first_odd, first_even, 0x05040100), __builtin_amdgcn_perm(first_odd, first_even, 0x07060302),
        __builtin_amdgcn_perm(last_odd, last_even, 0x05040100), __builtin_amdgcn_perm(last_odd, last_even, 0x07060302)
    );
}
