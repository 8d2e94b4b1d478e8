// Transpositions of 8 x 8 matrices of 16-bit elements.
#pragma once

// As load_matrices of shared.cuh, each matrix transposed on its way.
__device__ __forceinline__ uint4 load_matrices_transposed(unsigned at) {
    uint4 words;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "r"(at)
                 : "memory");
    return words;
}

// Lane i holds elements 2 (i % 4) and the next of row i / 4, then the same of the transposed matrix.
__device__ __forceinline__ unsigned transpose_matrix(unsigned words) {
    unsigned out;
    asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(words));
    return out;
}
