#pragma once
#include "rows.cuh"

// Mirrors `Params` in src/backend/params/embedding.rs.
struct EmbeddingParams {
    Rows table, y;
    const int* ids;
    unsigned* status;
    long long tokens, dim;
    int vocab;
    unsigned unused;
};
static_assert(sizeof(EmbeddingParams) == 88, "mirrored in Rust");
