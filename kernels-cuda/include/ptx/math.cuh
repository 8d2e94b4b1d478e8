// Instructions of the special function unit.
#pragma once

// 2^x, within 2 ulp; results below 2^-126 are zero.
__device__ __forceinline__ float fast_exp2(float x) {
    float value;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
    return value;
}

// 1/x, within 1 ulp; 0 for infinity.
__device__ __forceinline__ float fast_reciprocal(float x) {
    float value;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
    return value;
}
