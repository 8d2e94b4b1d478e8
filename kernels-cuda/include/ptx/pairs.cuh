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
