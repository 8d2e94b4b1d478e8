// y[r, i] = swiglu(gate, up). One block a row.
#include "params.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS) swiglu_rows(const __grid_constant__ SwigluParams p) {
    for (long long row = blockIdx.x; row < p.rows; row += gridDim.x) {
        for (long long i = threadIdx.x * 8; i < p.inner; i += 32 * WARPS * 8) {
            const long long count = p.inner - i;
            float gate[8], up[8];
            if (p.unit.halves) {
                load8(p.gate_up, row, i, count, gate);
                load8(p.gate_up, row, p.inner + i, count, up);
            } else {
                float low[8], high[8];
                load8(p.gate_up, row, 2 * i, 2 * count, low);
                load8(p.gate_up, row, 2 * i + 8, 2 * count - 8, high);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    gate[j] = low[2 * j], up[j] = low[2 * j + 1];
                    gate[j + 4] = high[2 * j], up[j + 4] = high[2 * j + 1];
                }
            }
#pragma unroll
            for (int j = 0; j < 8; j++) gate[j] = swiglu(p.unit, gate[j], up[j]);
            store8(p.y, row, i, count, gate);
        }
    }
}
