// Rows of `a` that local experts own, in the order of the experts, into scratch: a pass of its own costs less than gathering inside the GEMM, where
// the copies would take issue slots from the conversion. A warp owns a row.
#pragma once
#include "offsets.cuh"
#include "params_sm90.cuh"

__device__ __forceinline__ void gather_rows(const Sm90Params& s) {
    const GroupedGemmParams& p = s.p;
    const int lane = threadIdx.x % 32;
    const auto offset = [&](int i, int whole) { return p.offsets ? offset_at(p.offsets, i, p.rows) : whole; };
    const int begin = offset(p.local_first, 0), end = p.local_count ? offset(p.local_first + p.local_count, p.rows) : 0;
    const long long pitch = 2ll * p.k;
    for (int r = begin + blockIdx.x * WARPS + threadIdx.x / 32; r < end; r += gridDim.x * WARPS) {
        const long long from = input_row(p, r);
        const char* row = from < 0 ? nullptr : address(p.a, from, 0);
        uint4* to = (uint4*)((char*)s.gathered + r * pitch);
        const int pieces = p.k / 8; // K is a multiple of 32
        if (row && p.a_aligned) {
#pragma unroll 4
            for (int i = lane; i < pieces; i += 32) to[i] = ((const uint4*)row)[i];
        } else {
            for (int i = lane; i < p.k; i += 32) ((unsigned short*)to)[i] = row ? ((const unsigned short*)row)[i] : 0;
        }
    }
}
