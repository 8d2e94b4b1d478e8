#pragma once
#include "rows.cuh"

// Mirrors `Params` in src/backend/params/rms_norm.rs.
struct RmsNormParams {
    Rows x, residual, weight, sum, y;
    long long rows, dim;
    float eps;
    unsigned with_residual;
};
static_assert(sizeof(RmsNormParams) == 144, "mirrored in Rust");
