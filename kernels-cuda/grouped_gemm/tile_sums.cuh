// Sums of 16 weight rows by 8 or 16 rows of `a` in a warp, how they are kept as a part, and how parts become a tile's results.
#pragma once
#include "ptx/mma_first.cuh"
#include "ptx/shared.cuh"
#include "raised_tiles.cuh"
#include "shares.cuh"

constexpr int PART_BYTES = BLOCK_M * TILE_ROWS * 4;

// COLUMNS of eight rows of `a`, RAISED or not.
template <int COLUMNS, bool RAISED>
struct TileSums {
    float sum[2][4 * COLUMNS]; // of the halves of a step: shorter chains
    unsigned good;

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < 4 * COLUMNS; i++) sum[0][i] = sum[1][i] = 0.0f;
        good = 0x80808080;
    }

    // A step: a lane's words of the tile, its scales, and where its rows of `a` begin (of ldmatrix).
    __device__ __forceinline__ void multiply(uint4 codes, unsigned scales, const unsigned (&rows)[COLUMNS], int at) {
        good &= in_range(scales);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const unsigned first = h == 0 ? codes.x : codes.z, second = h == 0 ? codes.y : codes.w;
            unsigned w[8];
            if constexpr (RAISED) {
                raised_pairs(first, w), raised_pairs(second, w + 4);
                const float low = raised_factor(scales, 0, h), high = raised_factor(scales, 1, h);
#pragma unroll
                for (int j = 0; j < COLUMNS; j++) {
                    const uint4 b = load_matrices(rows[j] + at + h * 64);
                    float block[4], *d = sum[h] + 4 * j;
                    mma_16816_first(MmaBf16{}, block, w, b.x, b.y);
                    mma_16816(MmaBf16{}, block, w + 4, b.z, b.w);
                    d[0] += low * block[0], d[1] += low * block[1], d[2] += high * block[2], d[3] += high * block[3];
                }
            } else {
                const unsigned low = block_factor(scales, 0, h), high = block_factor(scales, 1, h);
                scaled_pairs(first, low, high, w), scaled_pairs(second, low, high, w + 4);
#pragma unroll
                for (int j = 0; j < COLUMNS; j++) {
                    const uint4 b = load_matrices(rows[j] + at + h * 64);
                    float(&d)[4] = *(float(*)[4])(sum[h] + 4 * j);
                    mma_16816(MmaBf16{}, d, w, b.x, b.y);
                    mma_16816(MmaBf16{}, d, w + 4, b.z, b.w);
                }
            }
        }
    }

    // As a part, from `at` on. Were all scales in range?
    __device__ __forceinline__ bool put(unsigned at) const {
        constexpr float UNIT = RAISED ? 1.0f : SCALED_UNIT;
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
            unsigned out[4];
#pragma unroll
            for (int i = 0; i < 4; i++) out[i] = __float_as_uint((sum[0][4 * j + i] + sum[1][4 * j + i]) * UNIT);
            store_shared_128(at + j * 512 + threadIdx.x % 32 * 16, {out[0], out[1], out[2], out[3]});
        }
        return __all_sync(ALL_LANES, (good & 0x80808080) == 0x80808080);
    }
};

// Bias of two neighbouring columns as it is stored: a conversion would wait for it. A lane has columns 2 (lane % 8) and the next.
struct PairBias {
    unsigned raw[2];

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int expert, int col) {
        const int c = col + threadIdx.x % 8 * 2;
        raw[0] = raw[1] = 0;
        if (!p.bias.base) return;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if (c + i >= p.n) continue;
            const char* at = address(p.bias, expert, c + i);
            raw[i] = p.bias.dtype == F32 ? *(const unsigned*)at : *(const unsigned short*)at;
        }
    }

    __device__ __forceinline__ float value(const GroupedGemmParams& p, int i) const {
        return p.bias.dtype == F32 ? __uint_as_float(raw[i]) : widen(p.bias.dtype, (unsigned short)raw[i]);
    }
};

// Weight rows col .. col + 16 of a segment from the part at `first` and `count` more from `others` on, in this order. A lane makes
// two columns of every fourth row; with a gated epilogue they are gate and up.
__device__ __forceinline__ void store_tile(const GroupedGemmParams& p, const Segment& segment, int col, const PairBias& bias,
                                           unsigned first, unsigned others, int count) {
    const int lane = threadIdx.x % 32, pair = lane % 8, c = col + 2 * pair;
    if (c >= p.n) return;
#pragma unroll 1
    for (int r = lane / 8; r < segment.rows; r += 4) {
        // Where the fragments of mma have it; the next column is in the lane four further on.
        const unsigned at = (r / 8 * 32 + pair % 4 * 8 + r % 8 / 2) * 16 + (r % 2 + pair / 4 * 2) * 4;
        float y[2];
#pragma unroll
        for (int i = 0; i < 2; i++) y[i] = __uint_as_float(load_shared_32(first + at + 64 * i));
#pragma unroll 1
        for (int part = 0; part < count; part++) {
#pragma unroll
            for (int i = 0; i < 2; i++) y[i] += __uint_as_float(load_shared_32(others + part * PART_BYTES + at + 64 * i));
        }
        y[0] += bias.value(p, 0), y[1] += bias.value(p, 1);
        if (p.gated) {
            store1(p.d, segment.row + r, c / 2, fast_swiglu(p.unit, y[0], y[1]));
        } else {
            store1(p.d, segment.row + r, c, y[0]);
            if (c + 1 < p.n) store1(p.d, segment.row + r, c + 1, y[1]);
        }
    }
}
