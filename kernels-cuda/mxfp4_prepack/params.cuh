#pragma once

// Mirrors `Params` in src/backend/params/mxfp4_prepack.rs.
struct Mxfp4PrepackParams {
    const unsigned char *w, *w_scales;
    unsigned char* tiles;
    int experts, n, k;
    unsigned unused;
};
static_assert(sizeof(Mxfp4PrepackParams) == 40, "mirrored in Rust");
