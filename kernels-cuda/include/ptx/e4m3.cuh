// Conversion of e4m3 by the hardware (sm_89).
#pragma once

// Two e4m3 in the low or high half of a word to two f16, exactly.
template <int HALF> __device__ __forceinline__ unsigned e4m3_pair_to_f16(unsigned word) {
    unsigned pair;
    if constexpr (HALF == 0) {
        asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.rn.f16x2.e4m3x2 %0, low; }" : "=r"(pair) : "r"(word));
    } else {
        asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.rn.f16x2.e4m3x2 %0, high; }" : "=r"(pair) : "r"(word));
    }
    return pair;
}
