// What a warp has summed: by 16 weight rows and 8 rows of `a`, as an mma leaves it.
#pragma once

template <int M, int N>
__device__ __forceinline__ void clear(float (&sum)[M][N][4]) {
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) sum[m][n][i] = 0.0f;
        }
    }
}
