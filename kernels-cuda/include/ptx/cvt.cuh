// Conversions between f32 and the 16-bit types, one instruction each where the architecture has it.
#pragma once

__device__ __forceinline__ float f16_to_f32(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ __forceinline__ unsigned short f32_to_f16(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

__device__ __forceinline__ float bf16_to_f32(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }

__device__ __forceinline__ unsigned short f32_to_bf16(float value) {
#if __CUDA_ARCH__ >= 800
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    // To nearest, ties to even. A NaN must not carry into infinity.
    if (value != value) return 0x7fff;
    unsigned word = __float_as_uint(value);
    return (unsigned short)((word + 0x7fff + (word >> 16 & 1)) >> 16);
#endif
}
