#pragma once
#include "rope.cuh"

// Mirrors `Params` in src/backend/params/rope.rs.
struct RopeParams {
    Rows x, y;
    Rotation rotation;
    const int* positions;
    unsigned* status;
    long long tokens;
    int heads;
    unsigned unused;
};
static_assert(sizeof(RopeParams) == 112, "mirrored in Rust");
