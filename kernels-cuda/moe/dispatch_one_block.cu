// Route and sort, or sort alone, in one block: few tokens.
#include "dispatch.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) moe_dispatch(const __grid_constant__ Dispatch d) {
    __shared__ int start[BUCKETS];
    const Counted own(d, d.with_route);
    Own buckets = {};
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        if (own_bucket(i) <= d.sort.experts) buckets.total[i] = scan_warps(d.sort, own_bucket(i));
    }
    scan_buckets(d.sort, buckets, start, true);
    place_assignments(d.sort, own.range, own.first, start, own.histogram);
}
