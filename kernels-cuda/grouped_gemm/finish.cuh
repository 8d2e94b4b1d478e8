// The second launch: `out` from the rows in scratch, which are the parts of a split K, the summands of a combine, or both.
// Everything is added in one order. A thread owns
// eight columns of a row of `out`.
#pragma once
#include "offsets.cuh"
#include "params.cuh"

// Columns col .. col + 8 of row r, its parts added and gated.
__device__ __forceinline__ void finished8(const GroupedGemmParams& p, int r, int col, int width, float (&y)[8]) {
    if (p.splits == 1) {
        load8(p.d, r, col, width - col, y);
        return;
    }
    float low[8] = {}, high[8] = {};
    for (int s = 0; s < p.splits; s++) {
        const long long row = (long long)s * p.rows + r;
        float part[8];
        load8(p.d, row, p.gated ? 2 * col : col, p.gated ? p.n - 2 * col : width - col, part);
#pragma unroll
        for (int i = 0; i < 8; i++) low[i] += part[i];
        if (!p.gated) continue;
        load8(p.d, row, 2 * col + 8, p.n - 2 * col - 8, part);
#pragma unroll
        for (int i = 0; i < 8; i++) high[i] += part[i];
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const float* pair = i < 4 ? &low[2 * i] : &high[2 * i - 8];
        y[i] = p.gated ? swiglu(p.unit, pair[0], pair[1]) : low[i];
    }
}

__device__ __forceinline__ void finish_rows(const GroupedGemmParams& p) {
    // Rows that any expert owns, and those of local ones, which are in scratch. They lie side by side.
    __shared__ int owned[2], local[2];
    if (threadIdx.x < 32) {
        const auto offset = [&](int i, int whole) { return p.offsets ? offset_at(p.offsets, i, p.rows) : whole; };
        owned[0] = offset(0, 0), owned[1] = offset(p.experts, p.rows);
        local[0] = offset(p.local_first, 0), local[1] = offset(p.local_first + p.local_count, p.rows);
        if (p.local_count == 0) local[1] = local[0];
    }
    __syncthreads();
    const int width = p.gated ? p.n / 2 : p.n, per_row = (width + 7) / 8;
    const long long rows = p.top_k ? p.tokens : p.rows, threads = 32 * WARPS;
    for (long long i = blockIdx.x * threads + threadIdx.x; i < rows * per_row; i += gridDim.x * threads) {
        const long long t = i / per_row;
        const int col = int(i % per_row) * 8;
        if (!p.top_k && (t < owned[0] || t >= owned[1])) continue;
        float sum[8] = {};
        if (!p.top_k && t >= local[0] && t < local[1]) finished8(p, int(t), col, width, sum);
        for (int j = 0; j < p.top_k; j++) {
            const int row = p.row_of[t * p.top_k + j];
            if (row != -1 && (row < 0 || row >= p.rows)) report(p.status, FAULT_ROW_INDEX);
            if (row < local[0] || row >= local[1]) continue;
            const float weight = p.combine_weight[t * p.top_k + j];
            float y[8];
            finished8(p, row, col, width, y);
#pragma unroll
            for (int c = 0; c < 8; c++) sum[c] += weight * y[c];
        }
        store8(p.out, t, col, width - col, sum);
    }
}
