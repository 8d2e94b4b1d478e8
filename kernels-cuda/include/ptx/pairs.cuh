// Two 16-bit elements in a word, the first in the low half (sm_80).
#pragma once
#include "mma.cuh"

__device__ __forceinline__ unsigned pair(MmaBf16, float low, float high) {
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

__device__ __forceinline__ unsigned pair(MmaF16, float low, float high) {
    unsigned word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

// Product of pairs; subnormal numbers count. Multiplication of bf16 is sm_90's: adding -0 changes nothing.
__device__ __forceinline__ unsigned multiply_pairs(MmaBf16, unsigned a, unsigned b) {
    unsigned word;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(word) : "r"(a), "r"(b), "r"(0x80008000));
    return word;
}

__device__ __forceinline__ unsigned multiply_pairs(MmaF16, unsigned a, unsigned b) {
    unsigned word;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(word) : "r"(a), "r"(b));
    return word;
}
