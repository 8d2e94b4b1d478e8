// Route and sort, or sort alone, in one cluster: its blocks are resident together and read each other's counts.
#include "dispatch.cuh"
#include "ptx/cluster.cuh"
#include "ptx/overlap.cuh"

extern "C" __global__ void __cluster_dims__(BLOCK_N) __launch_bounds__(32 * WARPS, 1)
    moe_dispatch(const __grid_constant__ Dispatch d) {
    __shared__ int start[BUCKETS], block_total[BUCKETS];
    wait_for_predecessor();
    allow_successor();
    const Counted own(d, d.with_route);
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        const int e = own_bucket(i);
        if (e <= d.sort.experts) block_total[e] = scan_warps(d.sort, e);
    }
    cluster_arrive();
    cluster_wait();
    Own buckets = {};
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        const int e = own_bucket(i);
        if (e <= d.sort.experts) {
            const unsigned at = __cvta_generic_to_shared(&block_total[e]);
#pragma unroll
            for (int b = 0; b < BLOCK_N; b++) {
                const int count = load_cluster_32(at, b);
                buckets.total[i] += count;
                buckets.in_front[i] += b < blockIdx.x ? count : 0;
            }
        }
    }
    cluster_arrive(); // done with the others' shared memory
    scan_buckets(d.sort, buckets, start, blockIdx.x == 0);
    place_assignments(d.sort, own.range, own.first, start, own.histogram);
    cluster_wait();
}
