#pragma once
#include "rows.cuh"

// Mirrors `Params` in src/backend/params/argmax.rs.
struct ArgmaxParams {
    Rows x;
    int* ids;
    unsigned long long* partial; // [rows, parts]
    long long rows, columns, parts;
};
static_assert(sizeof(ArgmaxParams) == 64, "mirrored in Rust");
