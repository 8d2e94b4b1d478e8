// Top-k of a token's logits by one warp: descending, equal logits by lower expert, NaN last.
#pragma once
#include "reduce.cuh"
#include "rows.cuh"

constexpr int MAX_EXPERTS = 512, MAX_TOP_K = 16, LANES = 32;

constexpr unsigned SOFTMAX_AFTER = 0, SOFTMAX_BEFORE = 1, SOFTMAX_BEFORE_RENORMALIZED = 2;

// Mirrors `Route` in src/cuda/moe.rs.
struct Route {
    Rows logits;
    int* topk_idx;
    float* topk_weight;
    long long tokens;
    int experts, top_k;
    unsigned score;
    unsigned unused;
};
static_assert(sizeof(Route) == 64, "mirrored in Rust");

// Logits as integers that compare the same way: 0 taken or absent, 1 NaN, then -inf upwards; -0 equals 0.
__device__ __forceinline__ unsigned rank_of(float logit) {
    if (logit != logit) return 1;
    const unsigned bits = __float_as_uint(logit + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float logit_of(unsigned rank) {
    if (rank == 1) return -INFINITY; // what a NaN counts as
    return __uint_as_float(rank >> 31 ? rank & 0x7fffffffu : ~rank);
}

__device__ __forceinline__ void route_token(const Route& r, long long t) {
    const int lane = threadIdx.x % LANES;
    unsigned ranks[MAX_EXPERTS / LANES];
#pragma unroll
    for (int c = 0; c < MAX_EXPERTS / LANES; c++) {
        const int e = c * LANES + lane;
        ranks[c] = e < r.experts ? rank_of(load1(r.logits, t, e)) : 0;
    }
    // Before any is taken: what a softmax over all experts needs.
    unsigned all[MAX_EXPERTS / LANES];
#pragma unroll
    for (int c = 0; c < MAX_EXPERTS / LANES; c++) all[c] = ranks[c];

    // Lane j keeps the j-th choice.
    int chosen = 0;
    float logit = -INFINITY;
    for (int j = 0; j < r.top_k; j++) {
        unsigned best = 0;
        int expert = MAX_EXPERTS;
#pragma unroll
        for (int c = 0; c < MAX_EXPERTS / LANES; c++) {
            if (ranks[c] > best) best = ranks[c], expert = c * LANES + lane;
        }
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2) {
            const unsigned other = __shfl_xor_sync(ALL_LANES, best, step);
            const int other_expert = __shfl_xor_sync(ALL_LANES, expert, step);
            if (other > best || (other == best && other_expert < expert)) best = other, expert = other_expert;
        }
#pragma unroll
        for (int c = 0; c < MAX_EXPERTS / LANES; c++) {
            if (c * LANES + lane == expert) ranks[c] = 0;
        }
        if (lane == j) chosen = expert, logit = logit_of(best);
    }

    // All -inf or NaN: -inf - -inf is NaN, and with it every weight.
    const float top = __shfl_sync(ALL_LANES, logit, 0);
    const float mine = lane < r.top_k ? expf(logit - top) : 0.0f;
    float sum;
    if (r.score == SOFTMAX_BEFORE) {
        float part = 0.0f;
#pragma unroll
        for (int c = 0; c < MAX_EXPERTS / LANES; c++) {
            if (all[c]) part += expf(logit_of(all[c]) - top);
        }
        sum = warp_sum(part);
    } else {
        // Renormalised, the sum over all experts cancels.
        sum = warp_sum(mine);
    }
    if (lane < r.top_k) {
        r.topk_idx[t * r.top_k + lane] = chosen;
        r.topk_weight[t * r.top_k + lane] = mine / sum;
    }
}
