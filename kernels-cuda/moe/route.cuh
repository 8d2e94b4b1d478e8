// Top-k of tokens' logits: descending, equal logits by lower expert, NaN last. A power of two of lanes shares a token: all 32
// where a warp has one only, else few with eight experts each, which do more tokens at a time.
#pragma once
#include "reduce.cuh"
#include "rows.cuh"

constexpr int MAX_EXPERTS = 512, LANES = 32;

constexpr unsigned SOFTMAX_AFTER = 0, SOFTMAX_BEFORE = 1, SOFTMAX_BEFORE_RENORMALIZED = 2;

// Mirrors `Route` in src/backend/params/moe.rs.
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

struct Range {
    int first, last;
};

// The tokens of a warp among all warps of the grid. By the shuffle the compiler knows that they are the warp's, and need not
// guard what its lanes do together.
__device__ __forceinline__ Range warp_tokens(int tokens) {
    const int own = __shfl_sync(ALL_LANES, threadIdx.x / LANES, 0);
    const int warps = gridDim.x * WARPS, warp = blockIdx.x * WARPS + own;
    const int each = tokens / warps, more = tokens % warps;
    const int first = warp * each + min(warp, more);
    return {first, first + each + (warp < more ? 1 : 0)};
}

// Logits as integers that compare the same way: 0 taken or absent, 1 NaN, then -inf upwards; -0 equals 0.
__device__ __forceinline__ unsigned rank_of(float logit) {
    const unsigned bits = __float_as_uint(logit + 0.0f);
    const unsigned rank = bits ^ (unsigned(int(bits) >> 31) | 0x80000000u);
    return logit != logit ? 1 : rank;
}

__device__ __forceinline__ float logit_of(unsigned rank) {
    if (rank == 1) return -INFINITY; // what a NaN counts as
    return __uint_as_float(rank >> 31 ? rank & 0x7fffffffu : ~rank);
}

template <int SHARE>
__device__ __forceinline__ unsigned shared_max(unsigned value) {
    if constexpr (SHARE == LANES) {
        return warp_max(value);
    } else {
#pragma unroll
        for (int step = SHARE / 2; step > 0; step /= 2) value = max(value, __shfl_xor_sync(ALL_LANES, value, step));
        return value;
    }
}

template <int SHARE>
__device__ __forceinline__ float shared_sum(float value) {
#pragma unroll
    for (int step = SHARE / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

// What a lane has of a token: every SHARE-th expert, OWN at most.
template <int SHARE, int OWN>
struct Token {
    unsigned ranks[OWN];
    float top, logit; // of the best; of the lane's choice: lane j's is the j-th
    int expert;
    const int own = threadIdx.x % SHARE;

    __device__ __forceinline__ Token(const Route& r, int t) : expert(0) {
        const char* row = address(r.logits, t, 0);
        const bool wide = r.logits.dtype == F32;
        float logits[OWN];
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            const int e = min(c * SHARE + own, r.experts - 1);
            logits[c] = wide ? ((const float*)row)[e] : __uint_as_float(((const unsigned short*)row)[e]);
        }
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            const unsigned short bits = (unsigned short)__float_as_uint(logits[c]);
            const float bf16 = bf16_to_f32(bits), f16 = f16_to_f32(bits);
            const float value = wide ? logits[c] : r.logits.dtype == BF16 ? bf16 : f16;
            ranks[c] = c * SHARE + own < r.experts ? rank_of(value) : 0;
        }
    }

    __device__ __forceinline__ void take(int j) {
        unsigned local = ranks[0];
#pragma unroll
        for (int c = 1; c < OWN; c++) local = max(local, ranks[c]);
        const unsigned best = shared_max<SHARE>(local);
        // The lowest of those that have it: the most in its complement.
        unsigned lowest = 0;
#pragma unroll
        for (int c = OWN - 1; c >= 0; c--) {
            if (ranks[c] == best) lowest = MAX_EXPERTS - (c * SHARE + own);
        }
        const int taken = MAX_EXPERTS - int(shared_max<SHARE>(lowest));
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            if (c * SHARE + own == taken) ranks[c] = 0;
        }
        if (j == 0) top = logit_of(best);
        if (own == j) expert = taken, logit = logit_of(best);
    }
};

// Sum over all of a token's experts.
template <int SHARE>
__device__ __forceinline__ float sum_of_all(const Route& r, int t, float top) {
    float sum = 0.0f;
#pragma unroll 1
    for (int e = threadIdx.x % SHARE; e < r.experts; e += SHARE) {
        sum += expf(logit_of(rank_of(load1(r.logits, t, e))) - top);
    }
    return shared_sum<SHARE>(sum);
}

// Routes a warp's tokens. `chosen` sees each choice: its place among all, and the expert.
template <int SHARE, int OWN, class Chosen>
__device__ __forceinline__ void route_by(const Route& r, Range tokens, Chosen chosen) {
#pragma unroll 1
    for (int at = tokens.first; at < tokens.last; at += LANES / SHARE) {
        const int t = at + threadIdx.x % LANES / SHARE, read = min(t, tokens.last - 1);
        Token<SHARE, OWN> token(r, read);
#pragma unroll 1
        for (int j = 0; j < r.top_k; j++) token.take(j);
        // All -inf or NaN: -inf - -inf is NaN, and with it every weight. Renormalised, the sum over all experts cancels.
        const bool has = token.own < r.top_k;
        const float weight = has ? expf(token.logit - token.top) : 0.0f;
        const bool all = r.score == SOFTMAX_BEFORE;
        const float sum = all ? sum_of_all<SHARE>(r, read, token.top) : shared_sum<SHARE>(weight);
        if (has && t < tokens.last) {
            const int assignment = t * r.top_k + token.own;
            r.topk_idx[assignment] = token.expert;
            r.topk_weight[assignment] = __fdividef(weight, sum); // the sum is 1 to 512, or NaN
            chosen(assignment, token.expert);
        }
    }
}

template <class Chosen>
__device__ __forceinline__ void route_tokens(const Route& r, Range tokens, Chosen chosen) {
    const bool one = tokens.last - tokens.first == 1;
    if (one && r.experts <= LANES) route_by<32, 1>(r, tokens, chosen);
    else if (one && r.experts <= 4 * LANES) route_by<32, 4>(r, tokens, chosen);
    else if (r.experts <= 4 * 8 && r.top_k <= 4) route_by<4, 8>(r, tokens, chosen);
    else if (r.experts <= 8 * 8 && r.top_k <= 8) route_by<8, 8>(r, tokens, chosen);
    else if (r.experts <= 16 * 8) route_by<16, 8>(r, tokens, chosen);
    else if (r.experts <= 32 * 8) route_by<32, 8>(r, tokens, chosen);
    else route_by<32, 16>(r, tokens, chosen);
}
