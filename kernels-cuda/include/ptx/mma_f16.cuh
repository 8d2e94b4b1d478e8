// mma.sync.m16n8k8 of f16 with f32 sums (sm_75). Lane i, g = i / 4, c = 2 (i % 4): a0 is (row g, k c and c + 1), a1 row g + 8;
// b is (k c and c + 1, column g); d[0] and d[1] are (row g, columns c and c + 1), d[2] and d[3] row g + 8.
#pragma once

__device__ __forceinline__ void mma_1688(float (&d)[4], unsigned a0, unsigned a1, unsigned b) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(b));
}
