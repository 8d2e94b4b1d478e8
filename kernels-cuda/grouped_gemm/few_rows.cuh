// A warp's part of K of a tile of a few rows, MATRICES times 16 weight rows, and a block's share of the tiles.
#pragma once
#include "parts.cuh"
#include "ptx/mma.cuh"
#include "step.cuh"
#include "sums.cuh"

constexpr int COLUMNS = BLOCK_M / 8; // of eight rows of `a`

struct PartialSums {
    unsigned a[COLUMNS]; // where the lane's row of each eight has its first 16 bytes
    float sum[MATRICES][COLUMNS][4];

    __device__ __forceinline__ void set_rows(unsigned activations, int rows, int pitch) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) a[n] = activations + min(n * 8 + lane / 4, rows - 1) * pitch + lane % 4 * 16;
    }

    // A step of K; `fragments(m, h, w)` are the weights of its half h.
    template <class T, class Weights>
    __device__ __forceinline__ void multiply(T type, int step, int rows, Weights fragments) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            Fragments w[MATRICES];
#pragma unroll
            for (int m = 0; m < MATRICES; m++) fragments(m, h, w[m]);
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                if (n * 8 >= rows) break;
                const uint4 b = load_shared_128(a[n] + step * ROW_BYTES + h * 64);
#pragma unroll
                for (int m = 0; m < MATRICES; m++) mma_16816(type, sum[m][n], w[m].a[0], b.x, b.y);
#pragma unroll
                for (int m = 0; m < MATRICES; m++) mma_16816(type, sum[m][n], w[m].a[1], b.z, b.w);
            }
        }
    }

    __device__ __forceinline__ void put(float (&parts)[BLOCK_M][PART_PITCH], int rows, float unit) const {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int row = n * 8 + lane % 4 * 2 + i % 2;
                if (row >= rows) continue;
#pragma unroll
                for (int m = 0; m < MATRICES; m++) {
                    parts[row][part_column(row, m * 16 + lane / 4 + i / 2 * 8)] = sum[m][n][i] * unit;
                }
            }
        }
    }
};

// This block's tiles, from `first` to `end`: as even as can be.
struct Share {
    int first, end;

    __device__ __forceinline__ explicit Share(int tiles) {
        const int share = tiles / int(gridDim.x), more = tiles % int(gridDim.x), block = blockIdx.x;
        first = block * share + min(block, more), end = first + share + (block < more);
    }
};
