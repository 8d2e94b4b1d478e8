// A warp routes its own tokens, then sorts their assignments: what it reads back is what it wrote.
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

// Assignments of the warp, routed if that is asked for.
__device__ __forceinline__ Range warp_assignments(const Dispatch& d, bool route) {
    const Range tokens = warp_tokens(int(d.route.tokens));
    if (route) {
        for (int t = tokens.first; t < tokens.last; t++) route_token(d.route, t);
        __syncwarp();
    }
    return {tokens.first * d.route.top_k, tokens.last * d.route.top_k};
}
