// A warpgroup's sums, 64 weight rows by N rows of `a`, to memory: unit, bias and gate in registers, then 16 rows of `a` at a
// time through shared memory, so that a thread stores 16 bytes of a row. All that does not change from one granule to the
// next is worked out once: this runs while the tensor cores have nothing to do.
#pragma once
#include "ptx/pairs.cuh"
#include "ptx/warpgroup.cuh"
#include "token_tiles.cuh"

constexpr int LINE = 68; // floats: a warp's results fall into different banks
constexpr int STAGING = GRANULE * LINE; // floats of a warpgroup, twice
constexpr int STAGING_BYTES = 2 * STAGING * 4;

// What a thread stores of a granule: 16 bytes of a row, or of every `step`th one from `row` on. Columns of the result come in
// multiples of 16 bytes, and its rows start at one: others take another variant or the exact way.
template <class T, bool GATED>
struct ChunkWriter {
    char* to;        // of the first row
    long long pitch; // bytes from row to row
    const float* from;
    int row, rows; // its first row, none if the chunk is past the last column; the tile's
    bool f32;

    __device__ __forceinline__ ChunkWriter(const GroupedGemmParams& p, const TokenTile& tile, int weight_row,
                                           const float* staging) {
        const int thread = threadIdx.x % 128, width = GATED ? p.n / 2 : p.n, first = GATED ? weight_row / 2 : weight_row;
        f32 = p.d.dtype == F32;
        const int shift = (GATED ? 2 : 3) + f32, col = (thread & ((1 << shift) - 1)) * (f32 ? 4 : 8);
        row = thread >> shift;
        from = staging + row * LINE + col;
        pitch = p.d.stride * element_bytes(p.d);
        to = address(p.d, tile.row + row, first + col);
        rows = first + col < width ? tile.rows : 0;
    }

    // The granule from row `at` of the tile on.
    __device__ __forceinline__ void store(int at, int buffer) const {
        const float4* y = (const float4*)(from + buffer * STAGING);
        char* chunk = to + at * pitch;
        if (f32) {
            if (at + row < rows) *(float4*)chunk = y[0];
            if (!GATED && at + row + 8 < rows) *(float4*)(chunk + 8 * pitch) = y[2 * LINE];
        } else if (row < GRANULE && at + row < rows) {
            const float4 a = y[0], b = y[1];
            *(uint4*)chunk = make_uint4(pair(T{}, a.x, a.y), pair(T{}, a.z, a.w), pair(T{}, b.x, b.y), pair(T{}, b.z, b.w));
        }
    }
};

// `row` is the warpgroup's first weight row, `unit` what its sums are counted in.
template <class T, int N, bool GATED>
__device__ __forceinline__ void store_sums(const GroupedGemmParams& p, const TokenTile& tile, int row, const float* sums,
                                           float unit, float* staging, int barrier) {
    const int thread = threadIdx.x % 128, lane = thread % 32, g = lane / 4, own = thread / 32 * 16 + g;
    const auto bias = [&](int r) { return p.bias.base && r < p.n ? load1(p.bias, tile.expert, r) : 0.0f; };
    const float low = bias(row + own), high = bias(row + own + 8);
    const ChunkWriter<T, GATED> writer(p, tile, row, staging);
    // The two threads of a pair of gate and up make an output each: of row g the one with the gate, of g + 8 the other.
    const bool gate = g % 2 == 0;
    float* line = staging + lane % 4 * 2 * LINE + (GATED ? thread / 32 * 8 + g / 2 + (gate ? 0 : 4) : own);
#pragma unroll
    for (int at = 0; at < N; at += GRANULE) {
        float* to = line + at / GRANULE % 2 * STAGING;
#pragma unroll
        for (int j = 0; j < 2; j++, to += 8 * LINE) {
            const float* d = sums + (at + 8 * j) / 2;
            const float y[4] = {d[0] * unit + low, d[1] * unit + low, d[2] * unit + high, d[3] * unit + high};
            if constexpr (GATED) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const float other = __shfl_xor_sync(ALL_LANES, gate ? y[2 + i] : y[i], 4);
                    to[i * LINE] = fast_swiglu(p.unit, gate ? y[i] : other, gate ? other : y[2 + i]);
                }
            } else {
                to[0] = y[0], to[LINE] = y[1], to[8] = y[2], to[LINE + 8] = y[3];
            }
        }
        sync_threads(barrier, 128); // there is another buffer for the next granule, and a barrier before this one's next use
        writer.store(at, at / GRANULE % 2);
    }
    sync_threads(barrier, 128); // the next tile begins with the first buffer
}
