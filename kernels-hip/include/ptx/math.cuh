// The functions of kernels-cuda's ptx/math.cuh, in instructions of the transcendental unit.
#pragma once

// 2^x, within 1 ulp; results below 2^-126 are zero.
__device__ __forceinline__ float fast_exp2(float x) { return __builtin_amdgcn_exp2f(x); }

// 1/x, within 1 ulp; 0 for infinity.
__device__ __forceinline__ float fast_reciprocal(float x) { return __builtin_amdgcn_rcpf(x); }

// The smaller one, the larger one; NaN where one is NaN.
__device__ __forceinline__ float min_nan(float a, float b) { return a != a || a < b ? a : b; }
__device__ __forceinline__ float max_nan(float a, float b) { return a != a || a > b ? a : b; }
