// out[t] = sum over j of weight[t, j] * y[row_of[t * k + j]], j ascending. One block a token.
#include "faults.cuh"
#include "rows.cuh"

// Mirrors `Combine` in src/backend/params/moe.rs.
struct Combine {
    Rows y, out;
    const int* assignment_to_row;
    const float* topk_weight;
    unsigned* status;
    long long tokens, dim;
    int rows, top_k;
};
static_assert(sizeof(Combine) == 96, "mirrored in Rust");

extern "C" __global__ void __launch_bounds__(32 * WARPS) moe_combine(const __grid_constant__ Combine p) {
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int* row_of = p.assignment_to_row + t * p.top_k;
        const float* weight = p.topk_weight + t * p.top_k;
        for (long long col = threadIdx.x * 8; col < p.dim; col += 32 * WARPS * 8) {
            float sum[8] = {};
#pragma unroll 4
            for (int j = 0; j < p.top_k; j++) {
                const int row = row_of[j];
                if (row < 0 || row >= p.rows) {
                    if (row != -1) report(p.status, FAULT_ROW_INDEX);
                    continue;
                }
                float y[8];
                load8(p.y, row, col, p.dim - col, y);
#pragma unroll
                for (int i = 0; i < 8; i++) sum[i] += weight[j] * y[i];
            }
            store8(p.out, t, col, p.dim - col, sum);
        }
    }
}
