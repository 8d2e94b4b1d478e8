// Scores of 64 rows by N keys from `first` on, as wgmma leaves them: a thread has keys 8 n + 2 c and the next of two rows. Keys that
// a row does not see count as nothing.
#pragma once
#include "tile.cuh"

// Past one edge, for which a comparison each suffices, in eights FROM .. TO.
template <bool HIGH, int FROM, int TO, int HALF>
__device__ __forceinline__ void mask_edge(float (&s)[HALF], int first, const Keys (&seen)[2], int c) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int edge = (HIGH ? seen[i].last : seen[i].first) - first - 2 * c;
#pragma unroll
        for (int n = FROM; n < TO; n++) {
#pragma unroll
            for (int k = 0; k < 2; k++) {
                float& score = s[4 * n + 2 * i + k];
                score = (8 * n + k < edge) == HIGH ? score : -INFINITY;
            }
        }
    }
}

// Past both, and where a bit of `missing` says that an eight is not there.
template <int HALF>
__device__ __forceinline__ void mask_all(float (&s)[HALF], int first, const Keys (&seen)[2], int c, unsigned missing) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int low = seen[i].first - first - 2 * c;
        const unsigned count = seen[i].last > seen[i].first ? seen[i].last - seen[i].first : 0;
#pragma unroll
        for (int n = 0; n < HALF / 4; n++) {
            const unsigned many = missing >> n & 1 ? 0 : count;
#pragma unroll
            for (int k = 0; k < 2; k++) {
                float& score = s[4 * n + 2 * i + k];
                score = unsigned(8 * n + k - low) < many ? score : -INFINITY;
            }
        }
    }
}

__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
    return fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(ALL_LANES, x, 1);
    return x + __shfl_xor_sync(ALL_LANES, x, 2);
}

// Largest of a thread's scores of each row.
template <int HALF> __device__ __forceinline__ void largest(const float (&s)[HALF], float (&high)[2]) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float most[2] = {fmaxf(s[2 * i], s[2 * i + 1]), fmaxf(s[4 + 2 * i], s[5 + 2 * i])};
#pragma unroll
        for (int n = 2; n < HALF / 4; n++) most[n % 2] = fmaxf(most[n % 2], fmaxf(s[4 * n + 2 * i], s[4 * n + 2 * i + 1]));
        high[i] = fmaxf(most[0], most[1]);
    }
}
