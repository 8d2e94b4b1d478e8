// The rows of `a` of a segment in shared memory, all of K, zeros behind it. Raised ones are 2^RAISE times as large, for weights that
// stay subnormal (raised_tiles.cuh).
#pragma once
#include "ptx/cp_async.cuh"
#include "ptx/pairs.cuh"
#include "ptx/shared.cuh"
#include "raised_tiles.cuh"
#include "shares.cuh"
#include "unaligned.cuh"

struct StagedRows {
    int pitch;  // bytes of a row; eight chunks of 16 bytes below each other fall into different banks
    int pieces; // of 16 bytes that are used

    __device__ __forceinline__ explicit StagedRows(int steps) : pitch(steps * 128 + 16), pieces(steps * 8) {}

    // By the whole block. They are there after cp_async_wait and a barrier.
    __device__ __forceinline__ void load(const GroupedGemmParams& p, const Segment& segment, unsigned to) const {
        const Part part(segment.rows);
#pragma unroll 1
        for (int r = part.row; r < segment.rows; r += part.height) {
            const long long row = input_row(p, segment.row + r);
            const char* from = row < 0 ? nullptr : address(p.a, row, 0);
            const unsigned at = to + r * pitch;
#pragma unroll 1
            for (int i = part.piece; i < pieces; i += part.step) {
                copy_16(p.a_aligned, at + i * 16, from + i * 16, from && i * 8 < p.k ? 16 : 0);
            }
        }
        cp_async_commit();
    }

    // Each thread what it loaded itself. Did all of it stay in range?
    __device__ __forceinline__ bool raise(const Segment& segment, unsigned at) const {
        const Part part(segment.rows);
        RaisedRange range;
#pragma unroll 1
        for (int r = part.row; r < segment.rows; r += part.height) {
#pragma unroll 2
            for (int i = part.piece; i < pieces; i += part.step) {
                const unsigned words = at + r * pitch + i * 16;
                const uint4 v = load_shared_128(words);
                store_shared_128(words, {range.raise(v.x), range.raise(v.y), range.raise(v.z), range.raise(v.w)});
            }
        }
        return range.holds();
    }

  private:
    // A thread's: every `height`th row, and every `step`th piece of it. Few rows have several warps each.
    struct Part {
        int row, height, piece, step;

        __device__ __forceinline__ explicit Part(int rows) {
            const int warp = threadIdx.x / 32, bits = min(32 - __clz(max(rows - 1, 0)), LOG_WARPS);
            height = 1 << bits, row = warp & (height - 1);
            piece = (warp >> bits) * 32 + threadIdx.x % 32, step = 32 * WARPS >> bits;
        }
    };

    static constexpr int LOG_WARPS = WARPS == 8 ? 3 : 4;
    static_assert(WARPS == 1 << LOG_WARPS, "warps share rows evenly");
};
