// A warp's own ring of weights in shared memory: a slot is MATRICES times 16 weight rows of 16 bits by 64 elements of K. Copies
// go there without passing registers: loads into registers would share the few scoreboards that a warp has, and waiting for
// one would wait for all. No other warp reads the ring, so no barrier is needed.
#pragma once
#include "params.cuh"
#include "ptx/mma.cuh"
#include "step.cuh"
#include "unaligned.cuh"

// Rows of 128 bytes in chunks of 16, swizzled so that two rows at four chunks fall into different banks. A lane reads eight
// elements side by side as its part of two mma: sums do not care about the order of K.
struct Weights {
    static constexpr int SLOT = 16 * MATRICES * ROW_BYTES, COPIES = 4 * MATRICES;
    const char* rows[COPIES];

    static __device__ __forceinline__ int place(int row, int chunk) {
        return row * ROW_BYTES + (chunk ^ row % 2 * 4) * 16;
    }

    __device__ __forceinline__ void set(const GroupedGemmParams& p, int expert, int col) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int j = 0; j < COPIES; j++) {
            const int c = min(col + j * 4 + lane / 8, p.n - 1);
            rows[j] = (const char*)p.w.base + ((long long)expert * p.n + weight_row(p, c)) * p.k * 2 + lane % 8 * 16;
        }
    }

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int step, unsigned slot) const {
        const int lane = threadIdx.x % 32, valid = min(p.k - step * STEP_K - lane % 8 * 8, 8) * 2;
#pragma unroll
        for (int j = 0; j < COPIES; j++) {
            const unsigned to = slot + place(j * 4 + lane / 8, lane % 8);
            copy_16(p.w_aligned, to, rows[j] + (long long)step * ROW_BYTES, valid);
        }
    }

    static __device__ __forceinline__ void fragments(unsigned slot, int m, int h, Fragments& w) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint4 row = load_shared_128(slot + place(m * 16 + i * 8 + lane / 4, 4 * h + lane % 4));
            w.a[0][i] = row.x, w.a[0][2 + i] = row.y, w.a[1][i] = row.z, w.a[1][2 + i] = row.w;
        }
    }
};
