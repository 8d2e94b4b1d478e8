// New keys rotated into the cache, values beside them, queries rotated in the same launch. One block a token.
#include "params.cuh"

// Eight rotated pairs of a key, where the layout wants them.
__device__ __forceinline__ void store_key_pairs(const KvAppendParams& p, int slot, int head, int first,
                                                Pairs& pairs) {
    const int count = p.rotation.half - first;
    if (p.rotation.interleaved) {
        float low[8], high[8];
        interleave(pairs, low, high);
        store_key(p.store, p.k_cache, slot, head, 2 * first, 2 * count, low);
        store_key(p.store, p.k_cache, slot, head, 2 * first + 8, 2 * count - 8, high);
    } else {
        store_key(p.store, p.k_cache, slot, head, first, count, pairs.a);
        store_key(p.store, p.k_cache, slot, head, p.rotation.half + first, count, pairs.b);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) kv_append(const __grid_constant__ KvAppendParams p) {
    const int chunks = (p.rotation.half + 7) / 8, dim = p.store.dim;
    const int items = (p.q_heads + 2 * p.store.heads) * chunks; // the chooser keeps it within an int
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int position = p.positions[t], slot = p.slots[t];
        const bool kept = slot >= 0 && slot < p.store.slots;
        if (!kept && slot != -1 && threadIdx.x == 0) report(p.status, FAULT_SLOT);
        // Queries first, then keys, then values.
        for (int item = threadIdx.x; item < items; item += 32 * WARPS) {
            const int first = item % chunks * 8;
            const int head = item / chunks, key = head - p.q_heads, value = key - p.store.heads;
            Pairs pairs;
            if (key < 0) {
                load_pairs(p.rotation, p.q, t, (long long)head * dim, first, pairs);
                rotate(p.rotation, position, first, pairs, p.status);
                store_pairs(p.rotation, p.q_out, t, (long long)head * dim, first, pairs);
            } else if (!kept) {
                break;
            } else if (value < 0) {
                load_pairs(p.rotation, p.k, t, (long long)key * dim, first, pairs);
                rotate(p.rotation, position, first, pairs, p.status);
                store_key_pairs(p, slot, key, first, pairs);
            } else {
                // As many elements as eight pairs have, side by side.
                const int d = 2 * first;
                load8(p.v, t, (long long)value * dim + d, dim - d, pairs.a);
                load8(p.v, t, (long long)value * dim + d + 8, dim - d - 8, pairs.b);
                store_value(p.store, p.v_cache, slot, value, d, dim - d, pairs.a);
                store_value(p.store, p.v_cache, slot, value, d + 8, dim - d - 8, pairs.b);
            }
        }
    }
}
