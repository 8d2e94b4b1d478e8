// A stage of the pipeline in shared memory is one step or more; a step is BLOCK_M rows of `a` and BLOCK_N weight rows, 64
// elements of K each, the weights still as they are stored. 16-bit rows are 128 bytes, in chunks of 16 that are swizzled so that eight rows at one chunk
// (ldmatrix) and two rows at four chunks (16 bytes a lane) both fall into different banks.
#pragma once
#include "mxfp4.cuh"
#include "params.cuh"
#include "chunks.cuh"
#include "schedule.cuh"
#include "unaligned.cuh"

constexpr int THREADS = 32 * WARPS;
constexpr int STEPS = BLOCK_K / STEP_K; // of a stage
static_assert(BLOCK_K % STEP_K == 0, "a stage is whole steps");

// Where half h (32 elements, 16 bytes) of a row of MXFP4 codes lies: rows 4 apart share banks, so they swap halves.
__device__ __forceinline__ int code_offset(int row, int h) { return row * 32 + (h ^ (row / 4 % 2)) * 16; }

constexpr int CODE_BYTES = BLOCK_N * 32; // of MXFP4; then two block scales a row, as bf16

template <unsigned FORMAT>
struct Step {
    static constexpr int WEIGHTS = FORMAT == DENSE   ? BLOCK_N * ROW_BYTES
                                   : FORMAT == MXFP4 ? CODE_BYTES + BLOCK_N * 4
                                                     : BLOCK_N / TILE_ROWS * TILE_BYTES;
    static constexpr int BYTES = BLOCK_M * ROW_BYTES + WEIGHTS;
};

// COUNT copies of 16 bytes: the j-th is from `from_of(j)`, zeros unless `has(j)`; all have `valid` bytes there.
template <int COUNT, class Has, class From, class To>
__device__ __forceinline__ void copy_all(bool aligned, int valid, Has has, From from_of, To to_of) {
    if (aligned) { // then all 16 bytes are valid or none
#pragma unroll
        for (int j = 0; j < COUNT; j++) cp_async_16(to_of(j), from_of(j), has(j) && valid > 0);
    } else {
#pragma unroll 1
        for (int j = 0; j < COUNT; j++) store_shared_128(to_of(j), load_bytes(from_of(j), has(j) ? valid : 0));
    }
}

// Bytes of a chunk of eight 16-bit elements from k on that a row has; more than 0 where it has any.
__device__ __forceinline__ int chunk_bytes(const GroupedGemmParams& p, int k) { return min(p.k - k, 8) * 2; }

// What a thread copies of `a`: `rows` are the addresses of the tile's rows, null for zeros.
struct RowSource {
    const char* const* rows;
    const char* first;

    __device__ __forceinline__ explicit RowSource(const char* const* all) : rows(all + threadIdx.x / CHUNKS) {
        first = rows[0];
    }

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int k, unsigned to) const {
        constexpr int COUNT = BLOCK_M / CHUNK_ROWS;
        const int at = k + threadIdx.x % CHUNKS * 8;
        to += chunk_offset();
        const auto row = [&](int j) { return COUNT == 1 ? first : rows[j * CHUNK_ROWS]; };
        copy_all<COUNT>(
            p.a_aligned, chunk_bytes(p, at), [&](int j) { return row(j) != nullptr; },
            [&](int j) { return row(j) + 2ll * at; }, [&](int j) { return to + j * CHUNK_ROWS * ROW_BYTES; });
    }
};

// What a thread copies of the weights of a tile. Its rows lie evenly apart.
template <unsigned FORMAT>
struct WeightSource {
    const char* from; // at the first k
    long long stride; // to its next row (DENSE, MXFP4)
    int columns;      // from its first row on, to the end of the result

    static constexpr int PER_ROW = FORMAT == DENSE ? CHUNKS : 2, ROWS = THREADS / PER_ROW;
    static constexpr int TILE_THREADS = THREADS * TILE_ROWS / BLOCK_N, PIECES = TILE_BYTES / 16; // MXFP4_TILED

    __device__ __forceinline__ WeightSource(const GroupedGemmParams& p, const Tile& tile) {
        const char* base = (const char*)p.w.base;
        if constexpr (FORMAT == MXFP4_TILED) {
            const int column = tile.col + threadIdx.x / TILE_THREADS * TILE_ROWS;
            const long long k_tiles = (p.k + TILE_K - 1) / TILE_K;
            columns = p.n - column;
            from = base + tile.expert * p.w_expert_bytes + column / TILE_ROWS * k_tiles * TILE_BYTES +
                   threadIdx.x % TILE_THREADS * 16;
        } else {
            const int column = tile.col + threadIdx.x / PER_ROW;
            const long long row_bytes = FORMAT == DENSE ? 2ll * p.k : p.k / 2;
            columns = p.n - column;
            from = base + ((long long)tile.expert * p.n + weight_row(p, column)) * row_bytes + threadIdx.x % PER_ROW * 16;
            stride = (weight_row(p, ROWS) - weight_row(p, 0)) * row_bytes;
        }
    }

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int k, unsigned to) const {
        if constexpr (FORMAT == MXFP4_TILED) {
            const int first = threadIdx.x % TILE_THREADS, valid = columns > 0 ? 16 : 0;
            const char* piece = from + (long long)(k / TILE_K) * TILE_BYTES;
            to += threadIdx.x / TILE_THREADS * TILE_BYTES + first * 16;
            const auto always = [](int) { return true; };
            copy_all<PIECES / TILE_THREADS>(
                p.w_aligned, valid, always, [&](int j) { return piece + j * TILE_THREADS * 16; },
                [&](int j) { return to + j * TILE_THREADS * 16; });
            constexpr int REST = PIECES / TILE_THREADS * TILE_THREADS;
            if (first >= PIECES - REST) return;
            copy_all<1>(
                p.w_aligned, valid, always, [&](int) { return piece + REST * 16; }, [&](int) { return to + REST * 16; });
        } else {
            const int row = threadIdx.x / PER_ROW, chunk = threadIdx.x % PER_ROW;
            const int valid = FORMAT == DENSE ? chunk_bytes(p, k + chunk * 8) : p.k - k > 32 * chunk ? 16 : 0;
            const char* at = from + (FORMAT == DENSE ? 2ll * k : k / 2);
            to += FORMAT == DENSE ? chunk_offset() : code_offset(row, chunk);
            copy_all<BLOCK_N / ROWS>(
                p.w_aligned, valid, [&](int j) { return j * ROWS < columns; }, [&](int j) { return at + j * stride; },
                [&](int j) { return to + j * ROWS * (FORMAT == DENSE ? ROW_BYTES : 32); });
        }
    }
};

// Block scales of MXFP4 in the checkpoint's layout are aligned to nothing: a thread a row loads its bytes into registers
// when the stage is asked for, and stores them as bf16 (2^-127 is a subnormal there) when the next one is.
template <unsigned FORMAT>
struct ScaleSource {
    static_assert(BLOCK_N <= THREADS, "a thread a row");
    const unsigned char* from;
    int blocks; // of the row; 0: none of this thread's

    struct Pair {
        unsigned char low, high;
    };

    __device__ __forceinline__ ScaleSource(const GroupedGemmParams& p, const Tile& tile) : from(nullptr), blocks(0) {
        const int c = tile.col + threadIdx.x;
        if (FORMAT != MXFP4 || threadIdx.x >= BLOCK_N || c >= p.n) return;
        blocks = p.k / 32;
        from = p.w_scales + ((long long)tile.expert * p.n + weight_row(p, c)) * blocks;
    }

    __device__ __forceinline__ Pair load(int k) const {
        const int block = k / 32;
        return {block < blocks ? from[block] : (unsigned char)0, block + 1 < blocks ? from[block + 1] : (unsigned char)0};
    }

    // `step` is where the weights of the step start.
    __device__ __forceinline__ void store(Pair pair, unsigned step) const {
        const unsigned word = __float_as_uint(e8m0(pair.low)) >> 16 | (__float_as_uint(e8m0(pair.high)) & 0xffff0000);
        if (FORMAT == MXFP4 && threadIdx.x < BLOCK_N) store_shared_32(step + CODE_BYTES + threadIdx.x * 4, word);
    }
};
