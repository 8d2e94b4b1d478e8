// Any head size up to 256, in f32: a block a query row and head, its keys shared out to the warps 32 at a time. A lane scores a key of
// its own, then owns every 32nd element of the output. What a cache is made of is a `Cache`'s to say: eight elements of a key, an
// element of a value, what scores and results of a head are multiplied by.
#pragma once
#include "sequence.cuh"

constexpr int MAX_DIM = 256, LANES = 32, EACH = MAX_DIM / LANES;

// An unfinished softmax: the largest score, the sum of exp(z - max), the weighted sum of the values.
struct Partial {
    float max, sum, out[EACH];
};

// exp(z - max); 0 where there is nothing yet, and NaN stays NaN.
__device__ __forceinline__ float weight_of(float z, float max) { return expf(z - (max == -INFINITY ? 0.0f : max)); }

__device__ __forceinline__ float log_add_exp(float a, float b) {
    const float more = a > b ? a : b, less = a > b ? b : a;
    return less == -INFINITY ? more : more + log1pf(expf(less - more));
}

// Keys first .. last, those of this warp.
template <class Cache>
__device__ __forceinline__ void attend(const FlashAttnParams& p, const Cache& cache, const Sequence& s, int kv_head, const float* q,
                                       int first, int last, Partial& acc) {
    const int lane = threadIdx.x % LANES, dim = p.store.dim;
    for (int at = first + threadIdx.x / LANES * LANES; at < last; at += LANES * WARPS) {
        const int slot = at + lane < last ? slot_of(p, s, at + lane) : -1;
        float z = 0.0f;
        for (int d = 0; slot >= 0 && d < dim; d += 8) {
            float k[8];
            cache.key(p, slot, kv_head, d, dim - d, k);
#pragma unroll
            for (int i = 0; i < 8; i++) z += q[d + i] * k[i]; // q is padded with zeros
        }
        z = slot >= 0 ? cache.score(z * p.sm_scale, kv_head) : -INFINITY;
        float max = fmaxf(acc.max, z); // a NaN is no maximum
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(ALL_LANES, max, step));
        const float weight = slot >= 0 ? weight_of(z, max) : 0.0f, before = weight_of(acc.max, max);
        acc.max = max;
        acc.sum = acc.sum * before + warp_sum(weight);
#pragma unroll
        for (int i = 0; i < EACH; i++) acc.out[i] *= before;
        for (int j = 0; j < min(LANES, last - at); j++) {
            const int place = __shfl_sync(ALL_LANES, slot, j);
            const float w = __shfl_sync(ALL_LANES, weight, j);
            if (place < 0) continue; // uniform; what is not visible is not read
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                if (i * LANES + lane >= dim) break;
                acc.out[i] += w * cache.value(p, value_place(p.store, place, kv_head, i * LANES + lane));
            }
        }
    }
}

template <class Cache> __device__ __forceinline__ void flash_attn_rows(const FlashAttnParams& p, const Cache& cache) {
    __shared__ Sequence s;
    __shared__ float q[MAX_DIM], maxima[WARPS], sums[WARPS], outs[WARPS][MAX_DIM];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, dim = p.store.dim;
    if (warp == 0) check_sequences(p);
    const long long items = (long long)p.q_tokens * p.q_heads;
    for (long long item = blockIdx.x; item < items; item += gridDim.x) {
        const int row = int(item / p.q_heads), head = int(item % p.q_heads);
        __syncthreads(); // the last item is done with the shared memory
        if (warp == 0) {
            const int owner = owner_of(p.cu_seqlens_q, p.sequences, row, p.q_tokens);
            const bool owned = owner >= 0 && owner < p.sequences;
            const Sequence found = owned ? sequence(p, owner, nullptr) : Sequence{};
            if (lane == 0) s = found;
        }
        for (int d = threadIdx.x; d < MAX_DIM; d += 32 * WARPS) {
            q[d] = d < dim ? load1(p.q, row, (long long)head * dim + d) : 0.0f;
        }
        __syncthreads();
        const int r = row - s.q_first;
        if (r >= s.q_len) continue; // nobody's row, uniform in the block

        const long long position = (long long)s.k_len - s.q_len + r;
        const long long end = p.causal ? min(max(position + 1, 0ll), (long long)s.k_len) : s.k_len;
        const long long begin = p.window ? min(max(position + 1 - p.window, 0ll), end) : 0;
        const int kv_head = head / (p.q_heads / p.store.heads);
        Partial acc = {-INFINITY, 0.0f, {}};
        attend(p, cache, s, kv_head, q, int(begin), int(end), acc);
        if (lane == 0) maxima[warp] = acc.max, sums[warp] = acc.sum;
#pragma unroll
        for (int i = 0; i < EACH; i++) outs[warp][i * LANES + lane] = acc.out[i];
        __syncthreads();

        float max = -INFINITY, sum = 0.0f;
        for (int w = 0; w < WARPS; w++) max = fmaxf(max, maxima[w]);
        for (int w = 0; w < WARPS; w++) sum += sums[w] * weight_of(maxima[w], max);
        const float sink = p.sinks.base ? load1(p.sinks, 0, head) : -INFINITY;
        // sum 0: no visible key, or only scores of -inf. The largest adds 1 otherwise.
        const float total = sum + (p.sinks.base ? expf(sink - max) : 0.0f);
        for (int d = threadIdx.x; d < dim; d += 32 * WARPS) {
            float out = 0.0f;
            for (int w = 0; w < WARPS; w++) out += outs[w][d] * weight_of(maxima[w], max);
            store1(p.out, row, (long long)head * dim + d, sum == 0.0f ? 0.0f : cache.result(out / total, kv_head));
        }
        if (threadIdx.x == 0 && p.lse_kind != LSE_NONE) {
            const float keys = sum == 0.0f ? -INFINITY : max + logf(sum);
            p.lse[item] = p.lse_kind == LSE_WITH_SINK && p.sinks.base ? log_add_exp(keys, sink) : keys;
        }
    }
}
