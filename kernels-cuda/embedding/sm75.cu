// y[t] = table[ids[t]]. One block a row.
#include "faults.cuh"
#include "params.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS) embedding(const __grid_constant__ EmbeddingParams p) {
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int id = p.ids[t];
        const bool known = id >= 0 && id < p.vocab;
        if (!known && threadIdx.x == 0) report(p.status, FAULT_TOKEN_ID);
        for (long long col = threadIdx.x * 8; col < p.dim; col += 32 * WARPS * 8) {
            float row[8] = {};
            if (known) load8(p.table, id, col, p.dim - col, row);
            store8(p.y, t, col, p.dim - col, row);
        }
    }
}
