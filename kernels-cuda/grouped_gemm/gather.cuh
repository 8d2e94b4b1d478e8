// Rows of `a` that local experts own, in the order of the experts, into scratch: a pass of its own costs less than gathering
// inside the GEMM, where copies of single rows keep the copy engine busy for some 20 cycles each, or take issue slots from the
// conversion. A warp owns parts of rows, all of whose loads are under way at once.
#pragma once
#include "offsets.cuh"
#include "params_sm90.cuh"

constexpr int PART_LOADS = 4, PART = 32 * PART_LOADS; // of 16 bytes

__device__ __forceinline__ uint4 load_8(const Rows& a, long long row, int col, bool aligned) {
    const char* from = address(a, row, col);
    if (aligned) return *(const uint4*)from;
    uint4 piece;
#pragma unroll
    for (int i = 0; i < 8; i++) ((unsigned short*)&piece)[i] = ((const unsigned short*)from)[i];
    return piece;
}

__device__ __forceinline__ void gather_rows(const Sm90Params& s) {
    const GroupedGemmParams& p = s.p;
    const int index[2] = {p.local_first, p.local_first + p.local_count}, lane = threadIdx.x % 32;
    int at[2] = {0, p.rows};
    if (p.offsets) offsets_at(p.offsets, index, p.rows, at);
    const int pieces = p.k / 8, parts = (pieces + PART - 1) / PART; // K is a multiple of 8
    const long long all = p.local_count ? (long long)(at[1] - at[0]) * parts : 0;
    for (long long i = blockIdx.x * WARPS + threadIdx.x / 32; i < all; i += gridDim.x * WARPS) {
        const int row = at[0] + int(i / parts), first = int(i % parts) * PART + lane;
        const long long from = input_row(p, row);
        uint4 piece[PART_LOADS] = {};
#pragma unroll
        for (int j = 0; j < PART_LOADS; j++) {
            const int own = first + 32 * j;
            if (own < pieces && from >= 0) piece[j] = load_8(p.a, from, 8 * own, p.a_aligned);
        }
        uint4* to = (uint4*)s.gathered + (long long)row * pieces;
#pragma unroll
        for (int j = 0; j < PART_LOADS; j++) {
            if (first + 32 * j < pieces) to[first + 32 * j] = piece[j];
        }
    }
}
