// The cache write for what sm75.cu does not take: caches of e4m3, and scales. One block a token; a thread takes eight pairs of
// queries and keys, or as many values.
#include "e4m3.cuh"
#include "params.cuh"

// Mirrors `ScaledParams` in src/backend/params/kv_append.rs.
struct ScaledParams {
    KvAppendParams p;
    const float *k_scale, *v_scale; // of each head; null: 1
    unsigned e4m3;                  // the type of the caches; else that of their rows
    unsigned unused;
};
static_assert(sizeof(ScaledParams) == 272, "mirrored in Rust");

__device__ __forceinline__ void store(const ScaledParams& x, const Rows& cache, const KvPlace& at, float value) {
    if (x.e4m3) ((unsigned char*)cache.base)[at.row * cache.stride + at.col] = f32_to_e4m3(value);
    else store1(cache, at.row, at.col, value);
}

// Elements d .. d + min(count, 8) of a head, divided by its scale.
template <bool KEYS>
__device__ __forceinline__ void store8(const ScaledParams& x, int slot, int head, int d, int count, float (&in)[8]) {
    const float* scales = KEYS ? x.k_scale : x.v_scale;
    const float scale = scales ? scales[head] : 1.0f;
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        if (i < count && KEYS) store(x, x.p.k_cache, key_place(x.p.store, slot, head, d + i), in[0] / scale);
        if (i < count && !KEYS) store(x, x.p.v_cache, value_place(x.p.store, slot, head, d + i), in[0] / scale);
        shift_in(in, in[0]);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) kv_append(const __grid_constant__ ScaledParams x) {
    const KvAppendParams& p = x.p;
    const int half = p.rotation.half, chunks = (half + 7) / 8, dim = p.store.dim;
    const int items = (p.q_heads + 2 * p.store.heads) * chunks; // the chooser keeps it within an int
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int position = p.positions[t], slot = p.slots[t];
        const bool kept = slot >= 0 && slot < p.store.slots;
        if (!kept && slot != -1 && threadIdx.x == 0) report(p.status, FAULT_SLOT);
        // Queries first, then keys, then values.
        for (int item = threadIdx.x; item < items; item += 32 * WARPS) {
            const int first = item % chunks * 8, d = 2 * first, count = half - first;
            const int head = item / chunks, key = head - p.q_heads, value = key - p.store.heads;
            Pairs pairs;
            if (key >= 0 && !kept) break;
            if (value >= 0) {
                load8(p.v, t, (long long)value * dim + d, dim - d, pairs.a);
                load8(p.v, t, (long long)value * dim + d + 8, dim - d - 8, pairs.b);
                store8<false>(x, slot, value, d, dim - d, pairs.a);
                store8<false>(x, slot, value, d + 8, dim - d - 8, pairs.b);
                continue;
            }
            load_pairs(p.rotation, key < 0 ? p.q : p.k, t, (long long)(key < 0 ? head : key) * dim, first, pairs);
            rotate(p.rotation, position, first, pairs, p.status);
            if (key < 0) {
                store_pairs(p.rotation, p.q_out, t, (long long)head * dim, first, pairs);
            } else if (p.rotation.interleaved) {
                float low[8], high[8];
                interleave(pairs, low, high);
                store8<true>(x, slot, key, d, 2 * count, low);
                store8<true>(x, slot, key, d + 8, 2 * count - 8, high);
            } else {
                store8<true>(x, slot, key, first, count, pairs.a);
                store8<true>(x, slot, key, half + first, count, pairs.b);
            }
        }
    }
}
