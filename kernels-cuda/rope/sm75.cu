// Every head of every token, rotated. A thread takes eight pairs.
#include "params.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS) rope(const __grid_constant__ RopeParams p) {
    const int chunks = (p.rotation.half + 7) / 8;
    const int items = p.heads * chunks; // the chooser keeps it within an int
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int position = p.positions[t];
        for (int item = threadIdx.x; item < items; item += 32 * WARPS) {
            const long long head = (long long)(item / chunks) * (2 * p.rotation.half);
            const int first = item % chunks * 8;
            Pairs pairs;
            load_pairs(p.rotation, p.x, t, head, first, pairs);
            rotate(p.rotation, position, first, pairs, p.status);
            store_pairs(p.rotation, p.y, t, head, first, pairs);
        }
    }
}
