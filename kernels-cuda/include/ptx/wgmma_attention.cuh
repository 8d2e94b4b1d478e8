// The products of attention on wgmma: as wgmma.cuh, with A from registers or shared memory, and with B as it lies or turned.
// Turned: B lies in shared memory as rows of K with 64 of its N columns each, 128-byte swizzled.
#pragma once
#include "wgmma.cuh"

// B turned: rows from `at` on; the next 64 columns lie `columns_64` bytes behind.
__device__ __forceinline__ unsigned long long turned_descriptor(unsigned at, unsigned columns_64) {
    constexpr unsigned long long SWIZZLE_128 = 1ull << 62, EIGHT_ROWS = 64ull << 32;
    return (at & 0x3ffff) >> 4 | (unsigned long long)(columns_64 >> 4) << 16 | EIGHT_ROWS | SWIZZLE_128;
}

template <int N>
struct AttentionWgmma;

#define ATTENTION_WGMMA_RS(NAME, TYPE, TAG, TURNED, N, HALF, A0, A1, A2, A3, B, ADD)                                    \
    static __device__ __forceinline__ void NAME(TAG, float (&d)[HALF], const unsigned* a, unsigned long long b,         \
                                                unsigned add) {                                                         \
        asm volatile("{ .reg .pred p; setp.ne.u32 p, %" #ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #N                \
                     "k16.f32." TYPE "." TYPE " {" NAMES_##HALF "}, {%" #A0 ", %" #A1 ", %" #A2 ", %" #A3 "}, %" #B     \
                     ", p, 1, 1, " #TURNED "; }"                                                                        \
                     : SUMS_UP_TO_##HALF                                                                                \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));                                   \
    }
#define ATTENTION_WGMMA_SS(TYPE, TAG, N, HALF, A0, A1, A2)                                                              \
    static __device__ __forceinline__ void run(TAG, float (&d)[HALF], unsigned long long a, unsigned long long b,       \
                                               unsigned add) {                                                          \
        asm volatile("{ .reg .pred p; setp.ne.u32 p, %" #A2 ", 0; wgmma.mma_async.sync.aligned.m64n" #N                 \
                     "k16.f32." TYPE "." TYPE " {" NAMES_##HALF "}, %" #A0 ", %" #A1 ", p, 1, 1, 0, 0; }"               \
                     : SUMS_UP_TO_##HALF                                                                                \
                     : "l"(a), "l"(b), "r"(add));                                                                       \
    }
#define ATTENTION_WGMMA(N, HALF, A0, A1, A2, A3, B, ADD)                                                                \
    template <>                                                                                                         \
    struct AttentionWgmma<N> {                                                                                          \
        ATTENTION_WGMMA_RS(run, "bf16", MmaBf16, 0, N, HALF, A0, A1, A2, A3, B, ADD)                                    \
        ATTENTION_WGMMA_RS(run, "f16", MmaF16, 0, N, HALF, A0, A1, A2, A3, B, ADD)                                      \
        ATTENTION_WGMMA_RS(run_turned, "bf16", MmaBf16, 1, N, HALF, A0, A1, A2, A3, B, ADD)                             \
        ATTENTION_WGMMA_RS(run_turned, "f16", MmaF16, 1, N, HALF, A0, A1, A2, A3, B, ADD)                               \
        ATTENTION_WGMMA_SS("bf16", MmaBf16, N, HALF, A0, A1, A2)                                                        \
        ATTENTION_WGMMA_SS("f16", MmaF16, N, HALF, A0, A1, A2)                                                          \
    };

ATTENTION_WGMMA(64, 32, 32, 33, 34, 35, 36, 37)
ATTENTION_WGMMA(96, 48, 48, 49, 50, 51, 52, 53)
ATTENTION_WGMMA(112, 56, 56, 57, 58, 59, 60, 61)
ATTENTION_WGMMA(128, 64, 64, 65, 66, 67, 68, 69)
ATTENTION_WGMMA(144, 72, 72, 73, 74, 75, 76, 77)
