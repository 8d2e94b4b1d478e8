// Route and sort, or sort alone, in one block: few tokens.
#include "dispatch.cuh"
#include "ptx/overlap.cuh"

// So few assignments that every thread looks at all of them: no histograms, no scans.
constexpr int FEW = 64, NOWHERE = 0x7fffffff;

__device__ __forceinline__ void place_few(const Sort& s, const int* buckets) {
    // Assignments in buckets below `bucket`, and those in it in front of `before`.
    const auto count = [&](int bucket, int before, int& below, int& same) {
        below = same = 0;
#pragma unroll 2
        for (int i = 0; i < s.assignments; i += 4) {
            const int4 four = *(const int4*)&buckets[i];
            below += (four.x < bucket) + (four.y < bucket) + (four.z < bucket) + (four.w < bucket);
            same += (four.x == bucket && i < before) + (four.y == bucket && i + 1 < before) +
                    (four.z == bucket && i + 2 < before) + (four.w == bucket && i + 3 < before);
        }
    };
    int below, same;
    for (int e = threadIdx.x; e <= s.experts; e += THREADS) {
        count(e, FEW, below, same);
        s.expert_offset[e] = below;
        if (e < s.experts) s.expert_count[e] = same;
        else if (same > 0) report(s.status, FAULT_EXPERT_ID);
    }
    const int a = THREADS - 1 - threadIdx.x; // the first threads have experts
    if (a < s.assignments) {
        count(buckets[a], a, below, same);
        s.sorted_assignment[below + same] = a;
        s.assignment_to_row[a] = below + same;
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) moe_dispatch(const __grid_constant__ Dispatch d) {
    __shared__ int start[BUCKETS];
    __shared__ __align__(16) int all[FEW];
    static_assert(FEW <= THREADS, "a thread an assignment");
    wait_for_predecessor();
    allow_successor();
    const bool few = d.sort.assignments <= FEW;
    if (threadIdx.x < FEW && threadIdx.x >= d.sort.assignments) all[threadIdx.x] = NOWHERE;
    const Counted own(d, d.with_route, few ? all : nullptr, FEW);
    if (few) {
        place_few(d.sort, all);
        return;
    }
    Own buckets = {};
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        if (own_bucket(i) <= d.sort.experts) buckets.total[i] = scan_warps(d.sort, own_bucket(i));
    }
    scan_buckets(d.sort, buckets, start, true);
    place_assignments(d.sort, own.range, own.first, start, own.histogram);
}
