// A step is 64 elements of K.
#pragma once

constexpr int STEP_K = 64, ROW_BYTES = 2 * STEP_K;

// The fragments of two mma: 32 elements of K.
struct Fragments {
    unsigned a[2][4];
};
