// Where a cache keeps a slot: `KvStore` in src/op/kv_store.rs.
#pragma once
#include "rows.cuh"

constexpr unsigned PACKED = 0, PAGED_NHD = 1, PAGED_HND = 2, PAGED_X_SPLIT = 3;

// Mirrors `Store` in src/backend/params/kv_append.rs.
struct KvStore {
    long long slots;
    unsigned layout;
    int page_size; // 1 where packed
    int x;         // PAGED_X_SPLIT: elements kept together
    int heads, dim;
    unsigned unused;
};
static_assert(sizeof(KvStore) == 32, "mirrored in Rust");

// Row (page) of a slot and the column of an element there.
struct KvPlace {
    long long row, col;
};

__device__ __forceinline__ KvPlace key_place(const KvStore& s, int slot, int head, int d) {
    const int page = slot / s.page_size;
    const long long n = slot % s.page_size;
    switch (s.layout) {
    case PAGED_HND: return {page, (head * (long long)s.page_size + n) * s.dim + d};
    case PAGED_X_SPLIT:
        return {page, ((head * (long long)(s.dim / s.x) + d / s.x) * s.page_size + n) * s.x + d % s.x};
    default: return {page, (n * s.heads + head) * s.dim + d};
    }
}

__device__ __forceinline__ KvPlace value_place(const KvStore& s, int slot, int head, int d) {
    if (s.layout != PAGED_X_SPLIT) return key_place(s, slot, head, d);
    return {slot / s.page_size, (head * (long long)s.dim + d) * s.page_size + slot % s.page_size};
}

// Elements d .. d + min(count, 8) of a key; the others zero.
__device__ __forceinline__ void load_key(const KvStore& s, const Rows& cache, int slot, int head, int d, int count,
                                         float (&out)[8]) {
    const int last = d + (count < 8 ? count : 8) - 1;
    if (s.layout != PAGED_X_SPLIT || d / s.x == last / s.x) {
        const KvPlace at = key_place(s, slot, head, d);
        load8(cache, at.row, at.col, count, out);
        return;
    }
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        const KvPlace at = key_place(s, slot, head, d + i);
        shift_in(out, i < count ? load1(cache, at.row, at.col) : 0.0f);
    }
}
