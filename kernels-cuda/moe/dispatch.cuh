// Route and sort, or sort alone: what the forms of dispatch have in common.
#pragma once
#include "sort.cuh"

// Mirrors `Dispatch` in src/cuda/moe.rs.
struct Dispatch {
    Route route;
    Sort sort;
    unsigned with_route; // else topk_idx is there already
    unsigned unused;
};
static_assert(sizeof(Dispatch) == 136, "mirrored in Rust");

// The warp's assignments, counted into its histogram, and the buckets of the first 32 of them.
struct Counted {
    Range range;
    int* histogram;
    int first;

    __device__ __forceinline__ Counted(const Dispatch& d, bool route) {
        __shared__ int firsts[WARPS][LANES];
        const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
        const Range tokens = warp_tokens(int(d.route.tokens));
        range = {tokens.first * d.route.top_k, tokens.last * d.route.top_k};
        histogram = histogram_of(d.sort, warp);
        clear_histogram(d.sort, histogram);
        if (route) {
            int* counts = histogram;
            route_tokens(d.route, tokens, [=](int token, int expert) {
                atomicAdd(&counts[expert], 1);
                const int at = (token - tokens.first) * d.route.top_k + lane;
                if (at < LANES) firsts[warp][at] = expert;
            });
            __syncwarp();
            first = range.first + lane < range.last ? firsts[warp][lane] : -1;
        } else {
            count_assignments(d.sort, range, histogram);
            first = load_bucket(d.sort, range.first, range.last);
        }
        __syncthreads();
    }
};
