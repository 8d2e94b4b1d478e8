// Keys and values of e4m3 for tensor cores of any generation: they become f16, exactly. Queries are f16 then, each row times a power
// of two that brings its largest element to between 1 and 2: what f16 has not the range for is far below what f32 adds up.
#pragma once
#include "ptx/cvt.cuh"
#include "ptx/pairs.cuh"

// Two codes, in the low bytes of the halves of a word. Their exponents are f16's with another bias, subnormal numbers included.
__device__ __forceinline__ unsigned widen_codes(unsigned codes) {
    const unsigned magnitude = codes & 0x007f007f, nan = (magnitude + 0x00010001) & 0x00800080;
    return multiply_pairs(MmaF16{}, magnitude << 7, 0x5c005c00) | nan * 0xf8 | (codes & 0x00800080) << 8; // 2^8
}

// Eight codes.
__device__ __forceinline__ uint4 widen_codes(uint2 codes) {
    return {widen_codes(__byte_perm(codes.x, 0, 0x4140)), widen_codes(__byte_perm(codes.x, 0, 0x4342)),
            widen_codes(__byte_perm(codes.y, 0, 0x4140)), widen_codes(__byte_perm(codes.y, 0, 0x4342))};
}

__device__ __forceinline__ float2 widen_pair(MmaBf16, unsigned w) { return {__uint_as_float(w << 16), __uint_as_float(w & 0xffff0000)}; }
__device__ __forceinline__ float2 widen_pair(MmaF16, unsigned w) {
    return {f16_to_f32((unsigned short)w), f16_to_f32((unsigned short)(w >> 16))};
}

// The power of two of a row, and what undoes it. Of exponents that both have; rows of zeros, of infinities and of NaN alone stay what
// they are.
struct RowPower {
    float up, down;
    __device__ __forceinline__ explicit RowPower(float largest) {
        const int e = min(max(int(__float_as_uint(largest) >> 23), 1), 253);
        up = __uint_as_float((254 - e) << 23), down = __uint_as_float(e << 23);
    }
};
