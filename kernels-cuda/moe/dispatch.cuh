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

// The warp's assignments, counted into its histogram, and the buckets of the first 32 of them. What a warp routed it
// reads back itself.
struct Counted {
    Range range;
    int* histogram;
    int first;

    __device__ __forceinline__ Counted(const Dispatch& d, bool route) {
        const Range tokens = warp_tokens(int(d.route.tokens));
        range = {tokens.first * d.route.top_k, tokens.last * d.route.top_k};
        histogram = histogram_of(d.sort, threadIdx.x / LANES);
        int* counts = histogram;
        clear_histogram(d.sort, counts);
        if (route) {
            route_tokens(d.route, tokens, [=](int expert) { atomicAdd(&counts[expert], 1); });
            __syncwarp();
        } else {
            count_assignments(d.sort, range, counts);
        }
        first = load_bucket(d.sort, range.first, range.last);
        __syncthreads();
    }
};
