#pragma once
#include "kv_store.cuh"
#include "rope.cuh"

// Mirrors `Params` in src/backend/params/kv_append.rs.
struct KvAppendParams {
    Rows k, v, q, k_cache, v_cache, q_out;
    Rotation rotation;
    KvStore store;
    const int* positions;
    const int* slots;
    unsigned* status;
    long long tokens;
    int q_heads;
    unsigned unused;
};
static_assert(sizeof(KvAppendParams) == 248, "mirrored in Rust");
