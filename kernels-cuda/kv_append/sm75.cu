// New keys rotated into the cache, values beside them, queries rotated in the same launch. One block a token; a thread takes 16
// elements of a head, of whichever kind: one way through the code, because a step that reads few bytes waits for instructions.
#include "params.cuh"
#include "ptx/overlap.cuh"

// Where 16 elements of a head lie: n[i] from d[i] on.
struct Parts {
    int d[2], n[2];
};

// Pairs first .. first + 8 of those that are half a head apart, else elements side by side.
__device__ __forceinline__ Parts parts_of(const Rotation& r, int first, bool apart) {
    const int count = r.half - first;
    if (apart) return {{first, r.half + first}, {count, count}};
    return {{2 * first, 2 * first + 8}, {2 * count, 2 * count - 8}};
}

__device__ __forceinline__ void rotate_parts(const Rotation& r, int position, int first, Pairs& x, unsigned* status) {
    if (!r.interleaved) {
        rotate(r, position, first, x, status);
        return;
    }
    Pairs pairs;
    deinterleave(x.a, x.b, pairs);
    rotate(r, position, first, pairs, status);
    interleave(pairs, x.a, x.b);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) kv_append(const __grid_constant__ KvAppendParams p) {
    allow_successor(); // the next one's weights come meanwhile
    wait_for_predecessor();
    const int chunks = (p.rotation.half + 7) / 8, dim = p.store.dim;
    const int items = (p.q_heads + 2 * p.store.heads) * chunks; // the chooser keeps it within an int
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int position = p.positions[t], slot = p.slots[t];
        const bool kept = slot >= 0 && slot < p.store.slots;
        if (!kept && slot != -1 && threadIdx.x == 0) report(p.status, FAULT_SLOT);
        // Queries first, then keys, then values.
        for (int item = threadIdx.x; item < items; item += 32 * WARPS) {
            const int all = item / chunks, first = item % chunks * 8;
            const bool query = all < p.q_heads, value = all >= p.q_heads + p.store.heads;
            if (!query && !kept) break;
            const int head = all - (query ? 0 : value ? p.q_heads + p.store.heads : p.q_heads);
            const Parts parts = parts_of(p.rotation, first, !value && !p.rotation.interleaved);
            const Rows from = query ? p.q : value ? p.v : p.k;
            Pairs x;
            load8(from, t, (long long)head * dim + parts.d[0], parts.n[0], x.a);
            load8(from, t, (long long)head * dim + parts.d[1], parts.n[1], x.b);
            if (!value) rotate_parts(p.rotation, position, first, x, p.status);
            const auto place = [&](int d) -> KvPlace {
                if (query) return {t, (long long)head * dim + d};
                return value ? value_place(p.store, slot, head, d) : key_place(p.store, slot, head, d);
            };
            // Does X_SPLIT keep these eight apart?
            const auto split = [&](int i) { return value || parts.d[i] / p.store.x != (parts.d[i] + 7) / p.store.x; };
            const Rows to = query ? p.q_out : value ? p.v_cache : p.k_cache;
            if (query || p.store.layout != PAGED_X_SPLIT || !(split(0) || split(1))) {
                const KvPlace low = place(parts.d[0]), high = place(parts.d[1]);
                store8(to, low.row, low.col, parts.n[0], x.a);
                store8(to, high.row, high.col, parts.n[1], x.b);
                continue;
            }
#pragma unroll 1
            for (int i = 0; i < 16; i++) {
                const KvPlace at = place((i < 8 ? parts.d[0] : parts.d[1]) + i % 8);
                if (i % 8 < (i < 8 ? parts.n[0] : parts.n[1])) store1(to, at.row, at.col, x.a[0]);
                shift_in(x.a, x.b[0]);
                shift_in(x.b, 0.0f);
            }
        }
    }
}
