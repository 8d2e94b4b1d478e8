// y = s / sqrt(mean(s^2) + eps) * weight, s = x or round(x + residual). One block a row.
#include "params.cuh"
#include "ptx/overlap.cuh"
#include "reduce.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) rms_norm(const __grid_constant__ RmsNormParams p) {
    __shared__ float partial[WARPS];
    const long long first = threadIdx.x * 8, step = 32 * WARPS * 8;
    allow_successor(); // the next one's weights come meanwhile
    wait_for_predecessor();
    float s[8], weight[8];
    for (long long row = blockIdx.x; row < p.rows; row += gridDim.x) {
        float squares = 0.0f;
        for (long long col = first; col < p.dim; col += step) {
            load8(p.x, row, col, p.dim - col, s);
            load8(p.weight, 0, col, p.dim - col, weight); // under way while the others' sums are waited for
            if (p.with_residual) {
                float add[8];
                load8(p.residual, row, col, p.dim - col, add);
#pragma unroll
                for (int i = 0; i < 8; i++) s[i] = rounded(p.x.dtype, s[i] + add[i]);
                store8(p.sum, row, col, p.dim - col, s);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) squares += s[i] * s[i];
        }
        const float scale = 1.0f / sqrtf(block_sum<WARPS>(squares, partial) / float(p.dim) + p.eps);
        // Behind one pass all is in registers. `sum` may be the memory of `x` or `residual`; a thread reads back what it wrote.
        const Rows& s_rows = p.with_residual ? p.sum : p.x;
        for (long long col = first; col < p.dim; col += step) {
            if (p.dim > step) {
                load8(s_rows, row, col, p.dim - col, s);
                load8(p.weight, 0, col, p.dim - col, weight);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) s[i] = s[i] * scale * weight[i];
            store8(p.y, row, col, p.dim - col, s);
        }
    }
}
