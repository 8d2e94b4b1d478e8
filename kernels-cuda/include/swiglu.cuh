// The gated unit: g * sigmoid(alpha g) * (u + offset), g clamped from above, u on both sides.
#pragma once
#include <ptx/math.cuh> // kernels-hip has its own

constexpr float LOG2_E = 1.4426950408889634f;

// Mirrors `Unit` in src/backend/params/swiglu.rs.
struct SwigluUnit {
    float alpha;
    float limit; // infinity: none
    float up_offset;
    unsigned halves; // gate in the first half of the columns; else gate and up alternate
};
static_assert(sizeof(SwigluUnit) == 16, "mirrored in Rust");

// Written with comparisons because fminf would lose a NaN.
__device__ __forceinline__ float at_most(float x, float limit) { return x > limit ? limit : x; }

__device__ __forceinline__ float swiglu(const SwigluUnit& unit, float gate, float up) {
    const float g = at_most(gate, unit.limit);
    const float u = -at_most(-at_most(up, unit.limit), unit.limit);
    return g / (1.0f + expf(-unit.alpha * g)) * (u + unit.up_offset);
}

// The same with the exponential and the reciprocal of the special function unit, each within 2 ulp, for kernels whose
// arithmetic is not hidden behind memory (sm_80).
__device__ __forceinline__ float fast_swiglu(const SwigluUnit& unit, float gate, float up) {
    const float g = min_nan(gate, unit.limit), u = max_nan(min_nan(up, unit.limit), -unit.limit);
    return g * fast_reciprocal(1.0f + fast_exp2(-unit.alpha * LOG2_E * g)) * (u + unit.up_offset);
}
