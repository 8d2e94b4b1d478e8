#pragma once
#include "rows.cuh"
#include "swiglu.cuh"

// Mirrors `Params` in src/backend/params/swiglu.rs.
struct SwigluParams {
    Rows gate_up, y;
    SwigluUnit unit;
    long long rows, inner; // inner: output columns I
};
static_assert(sizeof(SwigluParams) == 80, "mirrored in Rust");
