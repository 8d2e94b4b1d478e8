// Eight elements of a row as matrix units take them: in 16 bits.
#pragma once
#include "../../kernels-cuda/include/rows.cuh"

// Elements k .. k + 8 of a row in 16 bits, as they are stored; zeros from K on.
__device__ __forceinline__ uint4 load_stored(const Rows& rows, long long row, int k, int end) {
    const char* at = address(rows, row, k);
    if (k + 8 <= end && aligned16(at)) return *(const uint4*)at;
    unsigned words[4] = {};
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        const unsigned bits = k + i < end ? ((const unsigned short*)at)[i] : 0;
#pragma unroll
        for (int w = 0; w < 4; w++) words[w] |= w == i / 2 ? bits << 16 * (i % 2) : 0;
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// Eight values that fit the type exactly.
__device__ __forceinline__ uint4 pack(unsigned dtype, const float (&x)[8]) {
    const auto pair = [&](int i) { return narrow(dtype, x[i]) | unsigned(narrow(dtype, x[i + 1])) << 16; };
    return make_uint4(pair(0), pair(2), pair(4), pair(6));
}
