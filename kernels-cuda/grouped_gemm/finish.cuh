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
        const int index[4] = {0, p.experts, p.local_first, p.local_first + p.local_count};
        int at[4] = {0, p.rows, 0, p.rows};
        if (p.offsets) offsets_at(p.offsets, index, p.rows, at);
        owned[0] = at[0], owned[1] = at[1];
        local[0] = at[2], local[1] = p.local_count == 0 ? at[2] : at[3];
    }
    __syncthreads();
    const int width = p.gated ? p.n / 2 : p.n, per_row = (width + 7) / 8;
    // Rows in scratch are whole and in one part: loads need no branch, and rows that are not there are read from another.
    const bool whole = p.splits == 1 && width % 8 == 0 && local[0] < local[1];
    const long long rows = p.top_k ? p.tokens : p.rows, threads = 32 * WARPS;
    for (long long i = blockIdx.x * threads + threadIdx.x; i < rows * per_row; i += gridDim.x * threads) {
        const long long t = i / per_row;
        const int col = int(i % per_row) * 8;
        if (!p.top_k && (t < owned[0] || t >= owned[1])) continue;
        float sum[8] = {};
        if (!p.top_k && t >= local[0] && t < local[1]) finished8(p, int(t), col, width, sum);
        const auto row_of = [&](int j) {
            const int row = p.row_of[t * p.top_k + j];
            if (row != -1 && (row < 0 || row >= p.rows)) report(p.status, FAULT_ROW_INDEX);
            return row >= local[0] && row < local[1] ? row : -1;
        };
        int j = 0;
        // Four summands at a time, whose loads are under way together.
        for (; whole && j + 4 <= p.top_k; j += 4) {
            int row[4];
            float4 y[4][2];
#pragma unroll
            for (int i = 0; i < 4; i++) row[i] = row_of(j + i);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float4* from = (const float4*)((const float*)p.d.base + (long long)max(row[i], local[0]) * width + col);
                y[i][0] = from[0], y[i][1] = from[1];
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (row[i] < 0) continue;
                const float weight = p.combine_weight[t * p.top_k + j + i];
                sum[0] += weight * y[i][0].x, sum[1] += weight * y[i][0].y, sum[2] += weight * y[i][0].z;
                sum[3] += weight * y[i][0].w, sum[4] += weight * y[i][1].x, sum[5] += weight * y[i][1].y;
                sum[6] += weight * y[i][1].z, sum[7] += weight * y[i][1].w;
            }
        }
        for (; j < p.top_k; j++) {
            const int row = row_of(j);
            if (row < 0) continue;
            const float weight = p.combine_weight[t * p.top_k + j];
            float y[8];
            finished8(p, row, col, width, y);
#pragma unroll
            for (int c = 0; c < 8; c++) sum[c] += weight * y[c];
        }
        store8(p.out, t, col, width - col, sum);
    }
}
