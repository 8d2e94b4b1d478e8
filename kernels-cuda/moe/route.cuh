// Top-k of tokens' logits, a warp a token: descending, equal logits by lower expert, NaN last.
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

// Of a token's experts.
__device__ __forceinline__ float sum_of_all(const Route& r, int t, float top) {
    float sum = 0.0f;
#pragma unroll 1
    for (int e = threadIdx.x % LANES; e < r.experts; e += LANES) {
        sum += expf(logit_of(rank_of(load1(r.logits, t, e))) - top);
    }
    return warp_sum(sum);
}

// A token on its way. A lane has every 32nd expert, OWN at most.
template <int OWN>
struct Token {
    unsigned ranks[OWN];
    float top, logit; // of the best; of the lane's choice: lane j's is the j-th
    int expert;

    __device__ __forceinline__ void take(int j) {
        const int lane = threadIdx.x % LANES;
        unsigned local = ranks[0];
#pragma unroll
        for (int c = 1; c < OWN; c++) local = max(local, ranks[c]);
        const unsigned best = warp_max(local);
        // The lowest of those that have it: the most in its complement.
        unsigned lowest = 0;
#pragma unroll
        for (int c = OWN - 1; c >= 0; c--) {
            if (ranks[c] == best) lowest = MAX_EXPERTS - (c * LANES + lane);
        }
        const int taken = MAX_EXPERTS - int(warp_max(lowest));
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            if (c * LANES + lane == taken) ranks[c] = 0;
        }
        if (j == 0) top = logit_of(best);
        if (lane == j) expert = taken, logit = logit_of(best);
    }

    template <class Chosen>
    __device__ __forceinline__ void store(const Route& r, int t, float sum, Chosen chosen) {
        const int lane = threadIdx.x % LANES;
        if (lane < r.top_k) {
            r.topk_idx[(long long)t * r.top_k + lane] = expert;
            r.topk_weight[(long long)t * r.top_k + lane] = __fdividef(expf(logit - top), sum); // 1 to 512, or NaN
            chosen(t, expert);
        }
    }
};

// Of tokens from `first` on, none behind `last`: all loads are under way before the first is waited for.
template <int OWN, int AT_ONCE>
__device__ __forceinline__ void load_tokens(const Route& r, int first, int last, Token<OWN> (&token)[AT_ONCE]) {
    const int lane = threadIdx.x % LANES;
    const bool wide = r.logits.dtype == F32;
    float logits[AT_ONCE][OWN];
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
        const char* row = address(r.logits, min(first + i, last - 1), 0);
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            const int e = min(c * LANES + lane, r.experts - 1);
            logits[i][c] = wide ? ((const float*)row)[e] : __uint_as_float(((const unsigned short*)row)[e]);
        }
    }
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            const unsigned short bits = (unsigned short)__float_as_uint(logits[i][c]);
            const float bf16 = bf16_to_f32(bits), f16 = f16_to_f32(bits);
            const float logit = wide ? logits[i][c] : r.logits.dtype == BF16 ? bf16 : f16;
            token[i].ranks[c] = c * LANES + lane < r.experts ? rank_of(logit) : 0;
        }
    }
}

// Routes a warp's tokens, AT_ONCE side by side to hide what each waits for. `chosen` sees the choices of a token.
template <int OWN, int AT_ONCE, class Chosen>
__device__ __forceinline__ void route_by(const Route& r, Range tokens, Chosen chosen) {
#pragma unroll 1
    for (int at = tokens.first; at < tokens.last; at += AT_ONCE) {
        Token<OWN> token[AT_ONCE];
        load_tokens(r, at, tokens.last, token);
#pragma unroll 1
        for (int j = 0; j < r.top_k; j++) {
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) token[i].take(j);
        }
        // All -inf or NaN: -inf - -inf is NaN, and with it every weight. Renormalised, the sum over all experts cancels.
        float sum[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            sum[i] = warp_sum(threadIdx.x % LANES < r.top_k ? expf(token[i].logit - token[i].top) : 0.0f);
        }
        if (AT_ONCE == 1 && r.score == SOFTMAX_BEFORE) sum[0] = sum_of_all(r, at, token[0].top);
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (at + i < tokens.last) token[i].store(r, at + i, sum[i], chosen);
        }
    }
}

template <class Chosen>
__device__ __forceinline__ void route_tokens(const Route& r, Range tokens, Chosen chosen) {
    const bool one = tokens.last - tokens.first == 1 || r.score == SOFTMAX_BEFORE;
    if (r.experts > 4 * LANES) route_by<16, 1>(r, tokens, chosen);
    else if (r.experts > LANES && one) route_by<4, 1>(r, tokens, chosen);
    else if (r.experts > LANES) route_by<4, 4>(r, tokens, chosen);
    else if (one) route_by<1, 1>(r, tokens, chosen);
    else route_by<1, 4>(r, tokens, chosen);
}
