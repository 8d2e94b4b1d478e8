// Conversions between f32 and the 16-bit types: the functions of kernels-cuda's ptx/cvt.cuh, as this compiler has them.
#pragma once

__device__ __forceinline__ float f16_to_f32(unsigned short bits) {
    return float(__builtin_bit_cast(_Float16, bits));
}

__device__ __forceinline__ unsigned short f32_to_f16(float value) {
    return __builtin_bit_cast(unsigned short, _Float16(value));
}

__device__ __forceinline__ float bf16_to_f32(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

__device__ __forceinline__ unsigned short f32_to_bf16(float value) {
    return __builtin_bit_cast(unsigned short, __bf16(value));
}
