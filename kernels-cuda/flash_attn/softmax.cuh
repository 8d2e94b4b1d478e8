// Softmax in powers of two: m is the largest z = sm_scale log2(e) q k so far (or one near it), l the sum of 2^(z - m).
#pragma once
#include "params.cuh"
#include "ptx/math.cuh"

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

// m before the first key. Finite, so that 2^(-infinity - m) is 0.
constexpr float NO_MAX = -1e30f;

// m follows the largest z only when that is 2^SLACK above: rescaling is rare then, and p stays far from overflow in f16.
constexpr float SLACK = 8.0f;

__device__ __forceinline__ float sink_of(const FlashAttnParams& p, int head) { return load1(p.sinks, 0, head); }

// What a row's sums of p * v are multiplied by. l = 0: no visible key, or only scores of -infinity.
__device__ __forceinline__ float normalizer(const FlashAttnParams& p, int head, float m, float l) {
    const float total = p.sinks.base ? l + exp2f(sink_of(p, head) * LOG2_E - m) : l;
    return l == 0.0f ? 0.0f : 1.0f / total;
}

__device__ __forceinline__ float log_add_exp(float a, float b) {
    const float more = a > b ? a : b, less = a > b ? b : a;
    return less == -INFINITY ? more : more + log1pf(expf(less - more));
}

__device__ __forceinline__ void store_lse(const FlashAttnParams& p, int row, int head, float m, float l) {
    if (p.lse_kind == LSE_NONE) return;
    const float keys = l == 0.0f ? -INFINITY : (m + log2f(l)) * LN_2;
    const bool with_sink = p.lse_kind == LSE_WITH_SINK && p.sinks.base;
    p.lse[(long long)row * p.q_heads + head] = with_sink ? log_add_exp(keys, sink_of(p, head)) : keys;
}
