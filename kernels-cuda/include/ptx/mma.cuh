// mma.sync.m16n8k16 with f32 sums (sm_80). Lane i, g = i / 4, c = 2 (i % 4): a[0] is (row g, k c and c + 1), a[1] row g + 8,
// a[2] k c + 8, a[3] both; b[0] is (k c and c + 1, column g), b[1] k c + 8; d[0] and d[1] are (row g, columns c and c + 1),
// d[2] and d[3] row g + 8.
#pragma once

struct MmaBf16 {};
struct MmaF16 {};

__device__ __forceinline__ void mma_16816(MmaBf16, float (&d)[4], const unsigned* a, unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma_16816(MmaF16, float (&d)[4], const unsigned* a, unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
