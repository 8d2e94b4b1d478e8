// Top-k of tokens' logits: descending, equal logits by lower expert, NaN last. A power of two of lanes shares a token,
// with 8 or 16 neighbouring experts each: few steps to agree on the best, and several tokens a warp.
#pragma once
#include "reduce.cuh"
#include "rows.cuh"

constexpr int MAX_EXPERTS = 512, LANES = 32;

constexpr unsigned SOFTMAX_AFTER = 0, SOFTMAX_BEFORE = 1, SOFTMAX_BEFORE_RENORMALIZED = 2;

// Mirrors `Route` in src/cuda/moe.rs.
struct Route {
    Rows logits;
    int* topk_idx;
    float* topk_weight;
    long long tokens;
    int experts, top_k;
    unsigned score;
    int lanes; // that share a token: no fewer than top_k
};
static_assert(sizeof(Route) == 64, "mirrored in Rust");

struct Range {
    int first, last;
};

// The tokens of a warp among all warps of the grid.
__device__ __forceinline__ Range warp_tokens(int tokens) {
    const int warps = gridDim.x * WARPS, warp = blockIdx.x * WARPS + threadIdx.x / LANES;
    const int each = tokens / warps, more = tokens % warps;
    const int first = warp * each + min(warp, more);
    return {first, first + each + (warp < more ? 1 : 0)};
}

// Logits as integers that compare the same way: 0 taken or absent, 1 NaN, then -inf upwards; -0 equals 0.
__device__ __forceinline__ unsigned rank_of(float logit) {
    if (logit != logit) return 1;
    const unsigned bits = __float_as_uint(logit + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

constexpr unsigned NO_RANK = 0xffffffff; // what no logit has

__device__ __forceinline__ float logit_of(unsigned rank) {
    if (rank == 1) return -INFINITY; // what a NaN counts as
    return __uint_as_float(rank >> 31 ? rank & 0x7fffffffu : ~rank);
}

template <int OWN>
__device__ __forceinline__ unsigned best_of(const unsigned (&ranks)[OWN]) {
    unsigned best = ranks[0];
#pragma unroll
    for (int c = 1; c < OWN; c++) best = max(best, ranks[c]);
    return best;
}

// Sum over the lanes of a token, the same in all of them.
__device__ __forceinline__ float lanes_sum(float value, int lanes) {
    for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

// Routes the tokens of a warp; `chosen` sees every choice. OWN experts a lane.
template <int OWN, class Chosen>
__device__ __forceinline__ void route_by(const Route& r, Range tokens, Chosen chosen) {
    const int lane = threadIdx.x % LANES, own = lane % r.lanes;
    const unsigned peers = (ALL_LANES >> (LANES - r.lanes)) << (lane - own);
    for (int at = tokens.first; at < tokens.last; at += LANES / r.lanes) {
        const int t = at + lane / r.lanes;
        const bool live = t < tokens.last;
        unsigned ranks[OWN];
#pragma unroll
        for (int c = 0; c < OWN; c += 8) {
            float logits[8];
            load8(r.logits, live ? t : at, own * OWN + c, r.experts - own * OWN - c, logits);
#pragma unroll
            for (int i = 0; i < 8; i++) ranks[c + i] = own * OWN + c + i < r.experts ? rank_of(logits[i]) : 0;
        }

        // Lane j of the token keeps the j-th choice.
        unsigned local = best_of(ranks), chosen_rank = 0;
        int expert = 0;
        float top = 0.0f, all = 0.0f;
        for (int j = 0; j < r.top_k; j++) {
            unsigned best = local;
            for (int step = r.lanes / 2; step > 0; step /= 2) best = max(best, __shfl_xor_sync(ALL_LANES, best, step));
            if (j == 0) {
                top = logit_of(best);
                if (r.score == SOFTMAX_BEFORE) {
#pragma unroll
                    for (int c = 0; c < OWN; c++) {
                        if (ranks[c]) all += expf(logit_of(ranks[c]) - top);
                    }
                }
            }
            // The lowest lane that has it has the lowest expert.
            const int winner = __ffs(__ballot_sync(ALL_LANES, local == best) & peers) - 1;
            const unsigned wanted = lane == winner ? best : NO_RANK;
            int place = -1;
#pragma unroll
            for (int c = OWN - 1; c >= 0; c--) {
                if (ranks[c] == wanted) place = c;
            }
#pragma unroll
            for (int c = 0; c < OWN; c++) {
                if (c == place) ranks[c] = 0;
            }
            local = best_of(ranks);
            const int taken = __shfl_sync(ALL_LANES, own * OWN + place, winner);
            if (own == j) expert = taken, chosen_rank = best;
        }

        // All -inf or NaN: -inf - -inf is NaN, and with it every weight.
        const bool mine = own < r.top_k;
        const float weight = mine ? expf(logit_of(chosen_rank) - top) : 0.0f;
        // Renormalised, the sum over all experts cancels.
        const float sum = lanes_sum(r.score == SOFTMAX_BEFORE ? all : weight, r.lanes);
        if (live && mine) {
            r.topk_idx[(long long)t * r.top_k + own] = expert;
            r.topk_weight[(long long)t * r.top_k + own] = weight / sum;
            chosen(expert);
        }
    }
}

template <class Chosen>
__device__ __forceinline__ void route_tokens(const Route& r, Range tokens, Chosen chosen) {
    if (r.experts <= LANES * 8) route_by<8>(r, tokens, chosen);
    else route_by<16>(r, tokens, chosen);
}
