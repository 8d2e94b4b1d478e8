// Rotation of pairs: a' = a cos - b sin, b' = b cos + a sin. A thread owns eight pairs of a head.
#pragma once
#include "faults.cuh"
#include "rows.cuh"

// Mirrors `Rotation` in src/backend/params/rope.rs.
struct Rotation {
    const float* cos; // [positions, half]
    const float* sin;
    int positions;
    int half;             // pairs of a head
    unsigned interleaved; // pairs (2i, 2i + 1); else (i, i + half)
    unsigned unused;
};
static_assert(sizeof(Rotation) == 32, "mirrored in Rust");

// Eight pairs: their first and second elements.
struct Pairs {
    float a[8], b[8];
};

// Interleaved pairs as the 16 elements that lie side by side, and back.
__device__ __forceinline__ void deinterleave(const float (&low)[8], const float (&high)[8], Pairs& pairs) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        pairs.a[i] = low[2 * i], pairs.b[i] = low[2 * i + 1];
        pairs.a[i + 4] = high[2 * i], pairs.b[i + 4] = high[2 * i + 1];
    }
}

__device__ __forceinline__ void interleave(const Pairs& pairs, float (&low)[8], float (&high)[8]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        low[2 * i] = pairs.a[i], low[2 * i + 1] = pairs.b[i];
        high[2 * i] = pairs.a[i + 4], high[2 * i + 1] = pairs.b[i + 4];
    }
}

// Pairs first .. first + 8 of the head that starts at column `head`.
__device__ __forceinline__ void load_pairs(const Rotation& r, const Rows& x, long long row, long long head, int first,
                                           Pairs& pairs) {
    const int count = r.half - first;
    if (r.interleaved) {
        float low[8], high[8];
        load8(x, row, head + 2 * first, 2 * count, low);
        load8(x, row, head + 2 * first + 8, 2 * count - 8, high);
        deinterleave(low, high, pairs);
    } else {
        load8(x, row, head + first, count, pairs.a);
        load8(x, row, head + r.half + first, count, pairs.b);
    }
}

__device__ __forceinline__ void store_pairs(const Rotation& r, const Rows& y, long long row, long long head, int first,
                                            Pairs& pairs) {
    const int count = r.half - first;
    if (r.interleaved) {
        float low[8], high[8];
        interleave(pairs, low, high);
        store8(y, row, head + 2 * first, 2 * count, low);
        store8(y, row, head + 2 * first + 8, 2 * count - 8, high);
    } else {
        store8(y, row, head + first, count, pairs.a);
        store8(y, row, head + r.half + first, count, pairs.b);
    }
}

// Zeros where the table does not have the position.
__device__ __forceinline__ void rotate(const Rotation& r, int position, int first, Pairs& pairs, unsigned* status) {
    const bool known = position >= 0 && position < r.positions;
    if (!known) report(status, FAULT_POSITION);
    const long long row = known ? (long long)position * r.half : 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const bool live = known && first + i < r.half;
        const float cos = live ? r.cos[row + first + i] : 0.0f, sin = live ? r.sin[row + first + i] : 0.0f;
        const float a = pairs.a[i], b = pairs.b[i];
        pairs.a[i] = live ? a * cos - b * sin : 0.0f; // not a * 0: it may be infinite
        pairs.b[i] = live ? b * cos + a * sin : 0.0f;
    }
}
