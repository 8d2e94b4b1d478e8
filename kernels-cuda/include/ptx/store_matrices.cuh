// 8 x 8 matrices of 16-bit elements from registers to shared memory, turned (sm_90).
#pragma once

// Of each of the four matrices a lane holds elements 2 (i % 4) and the next of row i / 4, as sums of mma do; lane i gives the address of
// what becomes row i % 8 of matrix i / 8: column i % 8 of it as it is held.
__device__ __forceinline__ void store_turned_4(unsigned at, unsigned a, unsigned b, unsigned c, unsigned d) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(a), "r"(b), "r"(c), "r"(d)
                 : "memory");
}

// Two matrices, whose addresses lanes 0 to 15 give.
__device__ __forceinline__ void store_turned_2(unsigned at, unsigned a, unsigned b) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(at), "r"(a), "r"(b) : "memory");
}
