// A warp's sums, 16 weight rows by N rows of `a`, to memory: unit, bias and gate in registers, then as many rows of `a` as make
// 256 results through shared memory, so that a thread stores 16 bytes of a row. No other warp is waited for, and all that does
// not change from one round to the next is worked out once: this runs while the tensor cores have little to do.
#pragma once
#include "ptx/pairs.cuh"
#include "token_tiles.cuh"

// Columns of the result that a warp has, rows of a round, and floats from row to row, which puts a warp's stores into different banks.
template <bool GATED>
struct Round {
    static constexpr int COLS = GATED ? 8 : 16, ROWS = 256 / COLS, LINE = COLS + 4;
};
constexpr int STAGING_BYTES = Round<true>::ROWS * Round<true>::LINE * 4; // of a warp
static_assert(Round<false>::ROWS * Round<false>::LINE * 4 <= STAGING_BYTES, "one staging for both");

// What a thread stores of a round: 16 bytes of a row, in f32 of two rows. Columns of the result come in multiples of 8, and
// its rows start at multiples of 16 bytes: others take another variant or the exact way.
template <class T, bool GATED>
struct ChunkWriter {
    static constexpr int COLS = Round<GATED>::COLS, HALF = Round<GATED>::ROWS / 2, LINE = Round<GATED>::LINE;
    char* to;        // of the first row
    long long pitch; // bytes from row to row
    const float* from;
    int row, rows; // its first row; the tile's, none if the chunk is past the last column
    bool f32;

    __device__ __forceinline__ ChunkWriter(const GroupedGemmParams& p, const TokenTile& tile, int col, const float* staging) {
        f32 = p.d.dtype == F32;
        const int chunks = f32 ? COLS / 4 : COLS / 8, lane = threadIdx.x % 32, own = lane % chunks * (f32 ? 4 : 8);
        row = lane / chunks;
        from = staging + row * LINE + own;
        pitch = p.d.stride * element_bytes(p.d);
        to = address(p.d, tile.row + row, col + own);
        rows = col + own < (GATED ? p.n / 2 : p.n) ? tile.rows : 0;
    }

    // The round from row `at` of the tile on.
    __device__ __forceinline__ void store(int at) const {
        const float4 a = *(const float4*)from, b = *(const float4*)(from + (f32 ? HALF * LINE : 4));
        char* chunk = to + at * pitch;
        if (f32) {
            if (at + row < rows) *(float4*)chunk = a;
            if (at + row + HALF < rows) *(float4*)(chunk + HALF * pitch) = b;
        } else if (at + row < rows) {
            *(uint4*)chunk = make_uint4(pair(T{}, a.x, a.y), pair(T{}, a.z, a.w), pair(T{}, b.x, b.y), pair(T{}, b.z, b.w));
        }
    }
};

// Of the two weight rows whose sums a thread has; `row` is the warp's first one.
struct Bias {
    float low, high;
    __device__ __forceinline__ Bias(const GroupedGemmParams& p, int expert, int row) {
        const int own = row + threadIdx.x % 32 / 4;
        const auto at = [&](int r) { return p.bias.base && r < p.n ? load1(p.bias, expert, r) : 0.0f; };
        low = at(own), high = at(own + 8);
    }
};

// `row` is the warp's first weight row, `unit` what its sums are counted in.
template <class T, int N, bool GATED>
__device__ __forceinline__ void store_sums(const GroupedGemmParams& p, const TokenTile& tile, int row, const float* sums,
                                           float unit, const Bias& bias, float* staging) {
    constexpr int LINE = Round<GATED>::LINE, ROWS = Round<GATED>::ROWS;
    const int lane = threadIdx.x % 32, g = lane / 4;
    const ChunkWriter<T, GATED> writer(p, tile, GATED ? row / 2 : row, staging);
    // The two threads of a pair of gate and up make an output each: of row g the one with the gate, of g + 8 the other.
    const bool gate = g % 2 == 0;
    float* line = staging + lane % 4 * 2 * LINE + (GATED ? g / 2 + (gate ? 0 : 4) : g);
#pragma unroll
    for (int at = 0; at < N; at += ROWS) {
#pragma unroll
        for (int j = 0; j < ROWS && at + j < N; j += 8) {
            const float* d = sums + (at + j) / 2;
            const float y[4] = {d[0] * unit + bias.low, d[1] * unit + bias.low, d[2] * unit + bias.high,
                                d[3] * unit + bias.high};
            float* to = line + j * LINE;
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
        __syncwarp();
        writer.store(at);
        __syncwarp(); // what it read may be written over
    }
}
