// Caches of e4m3, and caches with a scale for each key head.
#pragma once
#include "params.cuh"

// Type of such a cache's rows, beside those of include/rows.cuh.
constexpr unsigned E4M3 = 3;

// Mirrors `ScaledParams` in src/backend/params/flash_attn.rs.
struct ScaledParams {
    FlashAttnParams p;
    const float *k_scale, *v_scale; // of each key head; null: 1
};
static_assert(sizeof(ScaledParams) == 344, "mirrored in Rust");
