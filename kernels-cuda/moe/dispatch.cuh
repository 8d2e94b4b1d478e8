// Route and sort, or sort alone: what the forms of dispatch have in common.
#pragma once
#include "sort.cuh"

// Mirrors `Dispatch` in src/backend/params/moe.rs.
struct Dispatch {
    Route route;
    Sort sort;
    unsigned with_route; // else topk_idx is there already
    unsigned unused;
};
static_assert(sizeof(Dispatch) == 136, "mirrored in Rust");

// Where a warp's choices go: counted, unless `counts` is null, and those from `begin` on kept, `many` at most.
struct Choices {
    int *counts, *kept;
    int begin, many;

    __device__ __forceinline__ void operator()(int assignment, int expert) const {
        if (counts) atomicAdd(&counts[expert], 1);
        if (assignment - begin < many) kept[assignment - begin] = expert;
    }
};

// The warp's assignments, counted into its histogram, and the buckets of the first 32 of them. With `all`, an array of
// `many`, there every assignment's bucket instead.
struct Counted {
    Range range;
    int* histogram;
    int first;

    __device__ __forceinline__ Counted(const Dispatch& d, bool route, int* all = nullptr, int many = 0) {
        __shared__ int firsts[WARPS][LANES];
        const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
        const Range tokens = warp_tokens(int(d.route.tokens));
        range = {tokens.first * d.route.top_k, tokens.last * d.route.top_k};
        histogram = histogram_of(d.sort, warp);
        first = -1;
        if (!all) clear_histogram(d.sort, histogram);
        if (route) {
            const Choices choices = {all ? nullptr : histogram, all ? all : firsts[warp], all ? 0 : range.first,
                                     all ? many : LANES};
            route_tokens(d.route, tokens, choices);
            __syncwarp();
            if (!all && range.first + lane < range.last) first = firsts[warp][lane];
        } else if (all) {
            for (int a = range.first + lane; a < range.last; a += LANES) all[a] = bucket_of(d.sort, d.sort.topk_idx[a]);
        } else {
            count_assignments(d.sort, range, histogram);
            first = load_bucket(d.sort, range.first, range.last);
        }
        __syncthreads();
    }
};
