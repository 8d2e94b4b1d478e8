// Rows of experts whose weights are elsewhere, where no second launch leaves them out. By the whole grid.
#pragma once
#include "params.cuh"

// `row_begin`: where the rows of each expert begin, and the last one's end.
__device__ __forceinline__ void zero_foreign_rows(const GroupedGemmParams& p, const int* row_begin) {
    if (p.top_k) return;
    const int local = row_begin[p.local_first], end = row_begin[p.local_first + p.local_count];
    const int width = p.gated ? p.n / 2 : p.n;
    for (int r = row_begin[0] + blockIdx.x; r < row_begin[p.experts]; r += gridDim.x) {
        if (r >= local && r < end) {
            r += (end - 1 - r) / gridDim.x * gridDim.x;
            continue;
        }
        for (int c = threadIdx.x * 8; c < width; c += blockDim.x * 8) {
            float zeros[8] = {};
            store8(p.d, r, c, width - c, zeros);
        }
    }
}
