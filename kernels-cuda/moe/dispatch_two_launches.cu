// Route and sort, or sort alone, over many blocks: any number of tokens.
#include "dispatch.cuh"
#include "ptx/overlap.cuh"

constexpr int MOST_BLOCKS = 128, EACH = MOST_BLOCKS / LANES; // counts a lane
constexpr int AT_ONCE = 4;                                  // buckets a warp has under way

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) moe_count(const __grid_constant__ Dispatch d) {
    wait_for_predecessor();
    const Counted own(d, d.with_route);
    for (int e = threadIdx.x; e <= d.sort.experts; e += THREADS) {
        d.sort.block_counts[e * gridDim.x + blockIdx.x] = scan_warps(d.sort, e);
    }
    allow_successor(); // not before: blocks that only wait would share the multiprocessor with those that count
}

// Every block adds up what all blocks have, a warp a bucket.
extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) moe_place(const __grid_constant__ Dispatch d) {
    __shared__ int start[BUCKETS], total[BUCKETS], in_front[BUCKETS];
    const int lane = threadIdx.x % LANES;
    wait_for_predecessor();
    allow_successor();
    const Counted own(d, false);
    for (int first = threadIdx.x / LANES; first <= d.sort.experts; first += AT_ONCE * WARPS) {
        int counts[AT_ONCE][EACH];
#pragma unroll
        for (int n = 0; n < AT_ONCE; n++) {
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                const int e = first + n * WARPS, b = i * LANES + lane;
                const bool has = e <= d.sort.experts && b < gridDim.x;
                counts[n][i] = has ? d.sort.block_counts[e * gridDim.x + b] : 0;
            }
        }
#pragma unroll
        for (int n = 0; n < AT_ONCE; n++) {
            int sum = 0, before = 0;
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                sum += counts[n][i];
                before += i * LANES + lane < blockIdx.x ? counts[n][i] : 0;
            }
#pragma unroll
            for (int step = LANES / 2; step > 0; step /= 2) {
                sum += __shfl_xor_sync(ALL_LANES, sum, step);
                before += __shfl_xor_sync(ALL_LANES, before, step);
            }
            const int e = first + n * WARPS;
            if (lane == 0 && e <= d.sort.experts) total[e] = sum, in_front[e] = before;
        }
    }
    __syncthreads();
    Own buckets = {};
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        const int e = own_bucket(i);
        if (e <= d.sort.experts) {
            scan_warps(d.sort, e);
            buckets.total[i] = total[e], buckets.in_front[i] = in_front[e];
        }
    }
    scan_buckets(d.sort, buckets, start, blockIdx.x == 0);
    place_assignments(d.sort, own.range, own.first, start, own.histogram);
}
