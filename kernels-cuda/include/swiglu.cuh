// The gated unit: g * sigmoid(alpha g) * (u + offset), g clamped from above, u on both sides.
#pragma once

// Mirrors `Unit` in src/cuda/swiglu.rs.
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
