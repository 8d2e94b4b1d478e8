// wgmma with f32 sums: 64 rows of A by N columns of B by 16 of K (sm_90a). A comes from registers, warp w of the warpgroup
// holding rows 16 w .. as mma.cuh has them, or from shared memory; B lies in shared memory, N rows of 64 elements with the 128-byte swizzle.
// d[4 j .. 4 j + 4] are columns 8 j .. of the warp's rows, laid out as mma.cuh has them too.
#pragma once
#include "mma.cuh"

// B from `at` on, a multiple of 1024 bytes plus 32 for every 16 elements into the row.
__device__ __forceinline__ unsigned long long matrix_descriptor(unsigned at) {
    constexpr unsigned long long SWIZZLE_128 = 1ull << 62, EIGHT_ROWS = 64ull << 32; // in units of 16 bytes
    return (at & 0x3ffff) >> 4 | 1ull << 16 | EIGHT_ROWS | SWIZZLE_128;
}

// Registers of a wgmma are what was last written to them.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Until at most PENDING groups are under way.
template <int PENDING>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// d = A B where `add` is 0, else d += A B.
template <int N>
struct Wgmma;

#define SUMS_8(I) "+f"(d[I]), "+f"(d[I + 1]), "+f"(d[I + 2]), "+f"(d[I + 3]), "+f"(d[I + 4]), "+f"(d[I + 5]), "+f"(d[I + 6]), "+f"(d[I + 7])
#define NAMES_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define SUMS_UP_TO_8 SUMS_8(0)
#define NAMES_16 NAMES_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define SUMS_UP_TO_16 SUMS_UP_TO_8, SUMS_8(8)
#define NAMES_24 NAMES_16 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define SUMS_UP_TO_24 SUMS_UP_TO_16, SUMS_8(16)
#define NAMES_32 NAMES_24 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define SUMS_UP_TO_32 SUMS_UP_TO_24, SUMS_8(24)
#define NAMES_40 NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define SUMS_UP_TO_40 SUMS_UP_TO_32, SUMS_8(32)
#define NAMES_48 NAMES_40 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define SUMS_UP_TO_48 SUMS_UP_TO_40, SUMS_8(40)
#define NAMES_56 NAMES_48 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define SUMS_UP_TO_56 SUMS_UP_TO_48, SUMS_8(48)
#define NAMES_64 NAMES_56 ", %56, %57, %58, %59, %60, %61, %62, %63"
#define SUMS_UP_TO_64 SUMS_UP_TO_56, SUMS_8(56)
#define NAMES_72 NAMES_64 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define SUMS_UP_TO_72 SUMS_UP_TO_64, SUMS_8(64)
#define NAMES_80 NAMES_72 ", %72, %73, %74, %75, %76, %77, %78, %79"
#define SUMS_UP_TO_80 SUMS_UP_TO_72, SUMS_8(72)
#define NAMES_88 NAMES_80 ", %80, %81, %82, %83, %84, %85, %86, %87"
#define SUMS_UP_TO_88 SUMS_UP_TO_80, SUMS_8(80)
#define NAMES_96 NAMES_88 ", %88, %89, %90, %91, %92, %93, %94, %95"
#define SUMS_UP_TO_96 SUMS_UP_TO_88, SUMS_8(88)

// X0 .. X5 are the numbers of the operands behind N / 2 sums.
#define WGMMA(N, HALF, X0, X1, X2, X3, X4, X5)                                                                          \
    template <>                                                                                                         \
    struct Wgmma<N> {                                                                                                   \
        static __device__ __forceinline__ void run(MmaBf16, float* d, const unsigned* a, unsigned long long b,          \
                                                   unsigned add) {                                                      \
            asm volatile("{ .reg .pred p; setp.ne.u32 p, %" #X5 ", 0; wgmma.mma_async.sync.aligned.m64n" #N             \
                         "k16.f32.bf16.bf16 {" NAMES_##HALF "}, {%" #X0 ", %" #X1 ", %" #X2 ", %" #X3 "}, %" #X4        \
                         ", p, 1, 1, 0; }"                                                                              \
                         : SUMS_UP_TO_##HALF                                                                            \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));                               \
        }                                                                                                               \
        WGMMA_SHARED(MmaBf16, "bf16", N, HALF, X0, X1, X2)                                                              \
        WGMMA_SHARED(MmaF16, "f16", N, HALF, X0, X1, X2)                                                                \
    };

// A in shared memory as B is.
#define WGMMA_SHARED(T, NAME, N, HALF, X0, X1, X2)                                                                      \
    static __device__ __forceinline__ void run(T, float* d, unsigned long long a, unsigned long long b, unsigned add) { \
        asm volatile("{ .reg .pred p; setp.ne.u32 p, %" #X2 ", 0; wgmma.mma_async.sync.aligned.m64n" #N                 \
                     "k16.f32." NAME "." NAME " {" NAMES_##HALF "}, %" #X0 ", %" #X1 ", p, 1, 1, 0, 0; }"               \
                     : SUMS_UP_TO_##HALF                                                                                \
                     : "l"(a), "l"(b), "r"(add));                                                                       \
    }

WGMMA(16, 8, 8, 9, 10, 11, 12, 13)
WGMMA(32, 16, 16, 17, 18, 19, 20, 21)
WGMMA(48, 24, 24, 25, 26, 27, 28, 29)
WGMMA(64, 32, 32, 33, 34, 35, 36, 37)
WGMMA(80, 40, 40, 41, 42, 43, 44, 45)
WGMMA(96, 48, 48, 49, 50, 51, 52, 53)
WGMMA(112, 56, 56, 57, 58, 59, 60, 61)
WGMMA(128, 64, 64, 65, 66, 67, 68, 69)
WGMMA(144, 72, 72, 73, 74, 75, 76, 77)
WGMMA(160, 80, 80, 81, 82, 83, 84, 85)
WGMMA(176, 88, 88, 89, 90, 91, 92, 93)
WGMMA(192, 96, 96, 97, 98, 99, 100, 101)
