// The rows of `a` of a tile, all of K, in shared memory: in every 32 elements the 16 bytes at 16 t are what a lane with
// lane % 4 == t multiplies by its weights of two mma.
#pragma once
#include "schedule.cuh"
#include "step.cuh"
#include "unaligned.cuh"

// Bytes of a row: two rows at four chunks of 16 bytes fall into different banks.
__device__ __forceinline__ int activation_pitch(int k) { return (k + STEP_K - 1) / STEP_K * ROW_BYTES + 64; }

// By the whole block; each thread 32 elements at a time.
template <unsigned FORMAT>
__device__ __forceinline__ void stage_activations(const GroupedGemmParams& p, const Tile& tile, unsigned to) {
    const int pieces = (p.k + STEP_K - 1) / STEP_K * 2, pitch = activation_pitch(p.k);
    for (int i = threadIdx.x; i < tile.rows * pieces; i += 32 * WARPS) {
        const int r = i / pieces, k = (i - r * pieces) * 32;
        const long long row = input_row(p, tile.row + r);
        const char* from = address(p.a, max(row, 0ll), k);
        uint4 v[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int valid = row < 0 ? 0 : min(p.k - k - j * 8, 8) * 2;
            v[j] = valid <= 0 ? uint4{} : p.a_aligned ? *(const uint4*)(from + j * 16) : load_bytes(from + j * 16, valid);
        }
        const unsigned at = to + r * pitch + k * 2;
        if constexpr (FORMAT == MXFP4_TILED) { // a lane has two elements of every eight
            store_shared_128(at, {v[0].x, v[1].x, v[2].x, v[3].x});
            store_shared_128(at + 16, {v[0].y, v[1].y, v[2].y, v[3].y});
            store_shared_128(at + 32, {v[0].z, v[1].z, v[2].z, v[3].z});
            store_shared_128(at + 48, {v[0].w, v[1].w, v[2].w, v[3].w});
        } else {
#pragma unroll
            for (int j = 0; j < 4; j++) store_shared_128(at + j * 16, v[j]);
        }
    }
}
