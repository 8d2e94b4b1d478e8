// out[t] = sum over j of weight[t, j] * y[row_of[t * k + j]], j ascending, y in scratch. One block a token.
#pragma once
#include "offsets.cuh"
#include "params.cuh"

__device__ __forceinline__ void combine_tokens(const GroupedGemmParams& p) {
    // Rows that local experts own: what is in scratch. They lie side by side.
    __shared__ int ends[2];
    if (threadIdx.x < 32) {
        const int first = p.offsets ? offset_at(p.offsets, p.local_first, p.rows) : 0;
        const int last = p.offsets ? offset_at(p.offsets, p.local_first + p.local_count, p.rows) : p.rows;
        ends[0] = first, ends[1] = p.local_count > 0 ? last : first;
    }
    __syncthreads();
    const int width = p.gated ? p.n / 2 : p.n;
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int* row_of = p.row_of + t * p.top_k;
        const float* weight = p.combine_weight + t * p.top_k;
        for (int col = threadIdx.x * 8; col < width; col += 32 * WARPS * 8) {
            float sum[8] = {};
            for (int j = 0; j < p.top_k; j++) {
                const int row = row_of[j];
                if (row != -1 && (row < 0 || row >= p.rows)) report(p.status, FAULT_ROW_INDEX);
                if (row < ends[0] || row >= ends[1]) continue;
                float y[8];
                load8(p.d, row, col, width - col, y);
#pragma unroll
                for (int i = 0; i < 8; i++) sum[i] += weight[j] * y[i];
            }
            store8(p.out, t, col, width - col, sum);
        }
    }
}
