// A warpgroup's sums, 64 weight rows by N rows of `a`, to memory: unit, bias and gate in registers, then 16 rows of `a` at a
// time through shared memory, so that a thread stores eight columns of a row.
#pragma once
#include "params_sm90.cuh"
#include "ptx/warpgroup.cuh"
#include "token_tiles.cuh"

constexpr int LINE = 68; // floats: a warp's results fall into different banks
constexpr int STAGING_BYTES = GRANULE * LINE * 4; // of a warpgroup

// `row` is the warpgroup's first weight row, `unit` what its sums are counted in.
template <int N>
__device__ __forceinline__ void store_sums(const GroupedGemmParams& p, const TokenTile& tile, int row, const float* sums,
                                           float unit, float* staging, int barrier) {
    const int thread = threadIdx.x % 128, lane = thread % 32, g = lane / 4, own = thread / 32 * 16 + g;
    const auto bias = [&](int r) { return p.bias.base && r < p.n ? load1(p.bias, tile.expert, r) : 0.0f; };
    const float low = bias(row + own), high = bias(row + own + 8);
    const int width = p.gated ? p.n / 2 : p.n, first = p.gated ? row / 2 : row, columns = p.gated ? 32 : 64;
    // The two threads of a pair of gate and up make an output each: of row g the one with the gate, of g + 8 the other.
    const bool gate = g % 2 == 0;
    float* line = staging + lane % 4 * 2 * LINE + (p.gated ? thread / 32 * 8 + g / 2 + (gate ? 0 : 4) : own);
#pragma unroll
    for (int at = 0; at < N; at += GRANULE) {
        sync_threads(barrier, 128); // the granule before this one is read
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const float* d = sums + (at + 8 * j) / 2;
            const float y[4] = {d[0] * unit + low, d[1] * unit + low, d[2] * unit + high, d[3] * unit + high};
            float* to = line + 8 * j * LINE;
            if (p.gated) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const float other = __shfl_xor_sync(ALL_LANES, gate ? y[2 + i] : y[i], 4);
                    to[i * LINE] = fast_swiglu(p.unit, gate ? y[i] : other, gate ? other : y[2 + i]);
                }
            } else {
                to[0] = y[0], to[LINE] = y[1], to[8] = y[2], to[LINE + 8] = y[3];
            }
        }
        sync_threads(barrier, 128);
        const int per_row = columns / 8, r = thread / per_row, c = thread % per_row * 8;
        if (r >= GRANULE || at + r >= tile.rows || first + c >= width) continue;
        float out[8];
        const float4 a = ((const float4*)(staging + r * LINE + c))[0], b = ((const float4*)(staging + r * LINE + c))[1];
        out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w, out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
        store8(p.d, tile.row + at + r, first + c, width - first - c, out);
    }
}
