// A tile of which the warps of a group have a part of K each: they are added up in the order of the warps.
#pragma once
#include "schedule.cuh"

// A warp stores pairs of rows 0, 2, 4 and 6 of a column together: they must fall into different banks. Where a row takes all 32, its
// columns are exchanged instead of padded, or 16 rows beside their parts would not fit the 163 KB of 8.0.
constexpr bool EXCHANGED = BLOCK_N == 32;
constexpr int PART_PITCH = EXCHANGED ? BLOCK_N : BLOCK_N + 4;

__device__ __forceinline__ int part_column(int row, int column) { return EXCHANGED ? column ^ row / 2 % 4 * 8 : column; }

// A thread adds up two columns of a row; with a gated epilogue they are gate and up.
constexpr int PAIRS = BLOCK_N / 2;

// Their bias as it is stored: a conversion would wait for it.
struct PairBias {
    unsigned raw[2];

    __device__ __forceinline__ void load(const GroupedGemmParams& p, const Tile& tile) {
        raw[0] = raw[1] = 0;
        const int c = tile.col + int(threadIdx.x) % PAIRS * 2;
        if (!p.bias.base) return;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if (c + i >= p.n) continue;
            const char* at = address(p.bias, tile.expert, weight_row(p, c + i));
            raw[i] = p.bias.dtype == F32 ? *(const unsigned*)at : *(const unsigned short*)at;
        }
    }

    __device__ __forceinline__ float value(const GroupedGemmParams& p, int i) const {
        return p.bias.dtype == F32 ? __uint_as_float(raw[i]) : widen(p.bias.dtype, (unsigned short)raw[i]);
    }
};

// `thread` of the COUNT warps that have the parts.
template <int COUNT>
__device__ __forceinline__ void store_parts(const GroupedGemmParams& p, const Tile& tile, int thread,
                                            const float (&parts)[COUNT][BLOCK_M][PART_PITCH],
                                            const PairBias& bias) {
    const int pair = thread % PAIRS, c = tile.col + 2 * pair;
    if (c >= p.n) return;
    for (int r = thread / PAIRS; r < tile.rows; r += 32 * COUNT / PAIRS) {
        float2 y = {};
#pragma unroll
        for (int w = 0; w < COUNT; w++) {
            const float2 part = *(const float2*)&parts[w][r][part_column(r, 2 * pair)];
            y.x += part.x, y.y += part.y;
        }
        y.x += bias.value(p, 0), y.y += bias.value(p, 1);
        if (p.gated) {
            store1(p.d, tile.row + r, c / 2, swiglu(p.unit, y.x, y.y));
        } else {
            store1(p.d, tile.row + r, c, y.x);
            if (c + 1 < p.n) store1(p.d, tile.row + r, c + 1, y.y);
        }
    }
}
