// MXFP4 by bf16 for few rows an expert: up to BLOCK_M at a time. Weights are the 16-row operand of mma.sync, which has nothing to
// set up and nothing to wait for: conversion is what takes the time. One block a multiprocessor takes tile after tile of
// BLOCK_N weight rows. Three warps keep a ring of stages full, weights by bulk copies, rows of `a` by gathering copies; of the others
// each takes 16 weight rows and one of SPLITS parts of K, and the first part adds the others up in order.
constexpr int GRANULE = 8; // rows of `a` that are multiplied whether they are there or not

#include "exact.cuh"
#include "finish.cuh"
#include "foreign_rows.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/prefetch.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "scaled_tiles.cuh"
#include "token_tiles.cuh"

constexpr int PRODUCERS = 3, CONSUMERS = WARPS - PRODUCERS, TILES = BLOCK_N / TILE_ROWS, SPLITS = CONSUMERS / TILES;
constexpr int STEPS = BLOCK_K / TILE_K, OWN_STEPS = STEPS / SPLITS;
static_assert(CONSUMERS % TILES == 0 && STEPS % SPLITS == 0, "all warps have the same to do");
constexpr int ROW_BYTES = BLOCK_M * 128, WEIGHT_BYTES = TILES * STEPS * TILE_BYTES;
constexpr int PART_BYTES = BLOCK_M * 16 * 4; // of a warp's sums

// Dynamic shared memory, in bytes from its start: `shared_bytes` in src/cuda/grouped_gemm/decode.rs.
constexpr int WEIGHTS_AT = STAGES * STEPS * ROW_BYTES, PARTS_AT = WEIGHTS_AT + STAGES * WEIGHT_BYTES;
constexpr int BARRIERS_AT = PARTS_AT + TILES * (SPLITS - 1) * PART_BYTES, BARRIERS = 2 * STAGES + 2 * TILES;
constexpr int GOOD_AT = BARRIERS_AT + BARRIERS * 8, TILES_AT = GOOD_AT + CONSUMERS * 4;

struct Stages {
    unsigned shared;
    __device__ __forceinline__ unsigned rows(unsigned stage) const { return shared + stage * STEPS * ROW_BYTES; }
    __device__ __forceinline__ unsigned weights(unsigned stage) const { return shared + WEIGHTS_AT + stage * WEIGHT_BYTES; }
    __device__ __forceinline__ unsigned full(unsigned stage) const { return shared + BARRIERS_AT + stage * 8; }
    __device__ __forceinline__ unsigned empty(unsigned stage) const { return full(STAGES + stage); }
    __device__ __forceinline__ unsigned good(int warp) const { return shared + GOOD_AT + warp * 4; }
    // The parts of a warp's rows are there; are added up. Every lane arrives for what it wrote and read itself: racecheck does not
    // see that __syncwarp orders the others' accesses before the arrival of one.
    __device__ __forceinline__ unsigned parts_full(int tile) const { return full(2 * STAGES + tile); }
    __device__ __forceinline__ unsigned parts_empty(int tile) const { return full(2 * STAGES + TILES + tile); }
    __device__ __forceinline__ unsigned part(int tile, int split) const {
        return shared + PARTS_AT + (tile * (SPLITS - 1) + split - 1) * PART_BYTES + threadIdx.x % 32 * 16;
    }
};

// A warp; a lane for 16 weight rows, whose tiles of neighbouring K lie side by side: one copy a stage.
__device__ __forceinline__ void produce_weights(const GroupedGemmParams& p, const TokenTiles& tiles, const Stages& stages) {
    Ring<STAGES> ring;
    const int lane = threadIdx.x % 32, steps = (p.k + TILE_K - 1) / TILE_K, row_tiles = (p.n + TILE_ROWS - 1) / TILE_ROWS;
    for (Walk walk; walk.seek(p, tiles); walk.next()) {
        const TokenTile tile = walk.tile(p, tiles);
        const int first = tile.col / TILE_ROWS, own = min(TILES, row_tiles - first);
        const char* from = (const char*)p.w.base + tile.expert * p.w_expert_bytes + (long long)(first + lane) * steps * TILE_BYTES;
        for (int step = 0; step < steps; step += STEPS) {
            barrier_wait(stages.empty(ring.stage), ring.parity ^ 1);
            const int bytes = min(STEPS, steps - step) * TILE_BYTES;
            if (lane == 0) barrier_expect(stages.full(ring.stage), own * bytes);
            __syncwarp();
            if (lane < own) {
                bulk_load(stages.weights(ring.stage) + lane * STEPS * TILE_BYTES, from + step * TILE_BYTES, bytes,
                          stages.full(ring.stage));
            }
            ring.next();
        }
        // The epilogue will not wait for memory.
        const int c = tile.col + lane * 32;
        if (p.bias.base && lane * 32 < BLOCK_N && c < p.n) prefetch_to_l2(address(p.bias, tile.expert, c));
    }
}

// 64 threads: eight chunks of 16 bytes of every eighth row. Rows past the tile's are not loaded, past K they are zero.
__device__ __forceinline__ void produce_rows(const GroupedGemmParams& p, const TokenTiles& tiles, const Stages& stages) {
    constexpr int PASSES = BLOCK_M / 8;
    Ring<STAGES> ring;
    const int thread = threadIdx.x - 32, chunk = thread % 8, first = thread / 8;
    const int steps = (p.k + TILE_K - 1) / TILE_K;
    for (Walk walk; walk.seek(p, tiles); walk.next()) {
        const TokenTile tile = walk.tile(p, tiles);
        const char* from[PASSES];
#pragma unroll
        for (int i = 0; i < PASSES; i++) {
            const int r = first + 8 * i;
            const long long row = r < tile.rows ? input_row(p, tile.row + r) : -1;
            from[i] = row < 0 ? nullptr : address(p.a, row, chunk * 8);
        }
        for (int step = 0; step < steps; step += STEPS) {
            barrier_wait(stages.empty(ring.stage), ring.parity ^ 1);
            const unsigned to = stages.rows(ring.stage) + first * 128 + ((chunk ^ first) << 4);
#pragma unroll
            for (int i = 0; i < PASSES; i++) {
                if (first + 8 * i >= tile.rows) break;
#pragma unroll
                for (int s = 0; s < STEPS; s++) {
                    const int k = (step + s) * TILE_K;
                    cp_async_16(to + s * ROW_BYTES + i * 1024, from[i] + 2ll * k, from[i] && k + chunk * 8 < p.k);
                }
            }
            cp_async_arrive(stages.full(ring.stage));
            ring.next();
        }
    }
}

// This warp's part of K of 16 weight rows by N rows of `a`. Were all scales in range?
template <int N>
__device__ __forceinline__ bool multiply(float* d, Ring<STAGES>& ring, const Stages& stages, int steps, int tile, int split) {
    const int lane = threadIdx.x % 32;
    // Of the four matrices of ldmatrix: row, and chunk of 16 bytes, exchanged.
    const int line = lane % 8 * 128 + ((lane / 8 ^ lane % 8) << 4);
    unsigned good = 0x80808080;
    float sums[2][N / 2] = {}; // of the halves of a step: shorter chains
    const auto multiply_step = [&](uint4 codes, unsigned scales, unsigned rows) {
        good &= in_range(scales);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const unsigned low = block_factor(scales, 0, h), high = block_factor(scales, 1, h);
            unsigned w[8];
            scaled_pairs(h == 0 ? codes.x : codes.z, low, high, w);
            scaled_pairs(h == 0 ? codes.y : codes.w, low, high, w + 4);
#pragma unroll
            for (int j = 0; j < N / 8; j++) {
                const uint4 b = load_matrices(rows + j * 1024 + (line ^ h * 64));
                float(&sum)[4] = *(float(*)[4])(sums[h] + 4 * j);
                mma_16816(MmaBf16{}, sum, w, b.x, b.y);
                mma_16816(MmaBf16{}, sum, w + 4, b.z, b.w);
            }
        }
    };
#pragma unroll 1
    for (int left = steps; left > 0; left -= STEPS) {
        barrier_wait(stages.full(ring.stage), ring.parity);
        const unsigned codes_at = stages.weights(ring.stage) + (tile * STEPS + split * OWN_STEPS) * TILE_BYTES + lane * 16;
        const unsigned scales_at = codes_at - lane * 16 + tile_scales(lane / 4);
        const unsigned rows = stages.rows(ring.stage) + split * OWN_STEPS * ROW_BYTES;
        if (left >= STEPS) {
            uint4 codes[OWN_STEPS];
            unsigned scales[OWN_STEPS];
#pragma unroll
            for (int s = 0; s < OWN_STEPS; s++) {
                codes[s] = load_shared_128(codes_at + s * TILE_BYTES), scales[s] = load_shared_32(scales_at + s * TILE_BYTES);
            }
#pragma unroll
            for (int s = 0; s < OWN_STEPS; s++) multiply_step(codes[s], scales[s], rows + s * ROW_BYTES);
        } else {
            const int own = min(left - split * OWN_STEPS, OWN_STEPS); // behind it K has ended
#pragma unroll 1
            for (int s = 0; s < own; s++) {
                multiply_step(load_shared_128(codes_at + s * TILE_BYTES), load_shared_32(scales_at + s * TILE_BYTES),
                              rows + s * ROW_BYTES);
            }
        }
        __syncwarp(); // all have read the stage
        if (lane == 0) barrier_arrive(stages.empty(ring.stage));
        ring.next();
    }
#pragma unroll
    for (int i = 0; i < N / 2; i++) d[i] = sums[0][i] + sums[1][i];
    return (good & 0x80808080) == 0x80808080;
}

// Rows col .. col + 16, straight from the registers: there are few.
template <int N>
__device__ __forceinline__ void store_direct(const GroupedGemmParams& p, const TokenTile& tile, int col, const float* d,
                                             float low, float high) {
    const int lane = threadIdx.x % 32, g = lane / 4, c = lane % 4 * 2;
    const bool gate = g % 2 == 0;
#pragma unroll
    for (int j = 0; j < N / 8; j++) {
        const float* sum = d + 4 * j;
        const float y[4] = {sum[0] * SCALED_UNIT + low, sum[1] * SCALED_UNIT + low, sum[2] * SCALED_UNIT + high,
                            sum[3] * SCALED_UNIT + high};
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int r = 8 * j + c + i;
            if (p.gated) {
                // The two threads of a pair make an output each: of row g the one with the gate, of g + 8 the other.
                const float other = __shfl_xor_sync(ALL_LANES, gate ? y[2 + i] : y[i], 4);
                const int n = col / 2 + g / 2 + (gate ? 0 : 4);
                const float out = fast_swiglu(p.unit, gate ? y[i] : other, gate ? other : y[2 + i]);
                if (r < tile.rows && n < p.n / 2) store1(p.d, tile.row + r, n, out);
            } else {
                if (r < tile.rows && col + g < p.n) store1(p.d, tile.row + r, col + g, y[i]);
                if (r < tile.rows && col + g + 8 < p.n) store1(p.d, tile.row + r, col + g + 8, y[2 + i]);
            }
        }
    }
}

// One tile of a warp. Were the scales of its rows in range? The first part answers for all.
template <int N>
__device__ __forceinline__ bool run_tile(const GroupedGemmParams& p, const TokenTiles& tiles, const Walk& walk,
                                         Ring<STAGES>& ring, const Stages& stages, unsigned parity) {
    float d[N / 2];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 - PRODUCERS, own = warp % TILES, split = warp / TILES;
    bool good = multiply<N>(d, ring, stages, (p.k + TILE_K - 1) / TILE_K, own, split);
    if (split > 0) {
        barrier_wait(stages.parts_empty(own), parity ^ 1);
#pragma unroll
        for (int j = 0; j < N / 8; j++) {
            store_shared_128(stages.part(own, split) + j * 512,
                             make_uint4(__float_as_uint(d[4 * j]), __float_as_uint(d[4 * j + 1]),
                                        __float_as_uint(d[4 * j + 2]), __float_as_uint(d[4 * j + 3])));
        }
        good = __all_sync(ALL_LANES, good);
        if (lane == 0) store_shared_32(stages.good(warp), good);
        barrier_arrive(stages.parts_full(own));
        return true;
    }
    const TokenTile tile = walk.tile(p, tiles);
    const int col = tile.col + own * TILE_ROWS, g = lane / 4;
    const auto bias = [&](int r) { return p.bias.base && r < p.n ? load1(p.bias, tile.expert, r) : 0.0f; };
    const float low = bias(col + g), high = bias(col + g + 8);
    if (SPLITS > 1) {
        barrier_wait(stages.parts_full(own), parity);
#pragma unroll
        for (int q = 1; q < SPLITS; q++) {
            good = good && load_shared_32(stages.good(own + q * TILES));
#pragma unroll
            for (int j = 0; j < N / 8; j++) {
                const uint4 part = load_shared_128(stages.part(own, q) + j * 512);
                d[4 * j] += __uint_as_float(part.x), d[4 * j + 1] += __uint_as_float(part.y);
                d[4 * j + 2] += __uint_as_float(part.z), d[4 * j + 3] += __uint_as_float(part.w);
            }
        }
        barrier_arrive(stages.parts_empty(own));
    }
    store_direct<N>(p, tile, col, d, low, high);
    return good || col >= p.n; // rows past the end have no scales
}

__device__ __forceinline__ void consume(const GroupedGemmParams& p, const TokenTiles& tiles, const Stages& stages) {
    Ring<STAGES> ring;
    unsigned again = 0; // of this block's tiles those to be done the exact way, a bit for every 32nd
    int count = 0;
    for (Walk walk; walk.seek(p, tiles); walk.next(), count++) {
        bool good = threadIdx.x / 32 - PRODUCERS >= TILES;
#define CASE(I)                                                                                                         \
    case I:                                                                                                             \
        if constexpr (I * GRANULE <= BLOCK_M) good = run_tile<I * GRANULE>(p, tiles, walk, ring, stages, count % 2);    \
        break;
        if (p.a_aligned) { // else the copies cannot fetch its rows
            switch (walk.tile(p, tiles).granules) {
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
            }
        }
#undef CASE
        again |= unsigned(!good) << count % 32;
    }
    again = __reduce_or_sync(ALL_LANES, again);
    count = 0;
    for (Walk walk; again && walk.seek(p, tiles); walk.next(), count++) {
        const TokenTile tile = walk.tile(p, tiles);
        const int col = tile.col + (threadIdx.x / 32 - PRODUCERS) * TILE_ROWS;
        if ((again >> count % 32 & 1) && col < p.n) exact_rows<MmaBf16, true>(p, tile.expert, col, tile.row, tile.rows);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) grouped_gemm_decode(const __grid_constant__ GroupedGemmParams p) {
    extern __shared__ __align__(1024) char shared[];
    TokenTiles& tiles = *(TokenTiles*)(shared + TILES_AT);
    const Stages stages{shared_address(shared)};
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(stages.full(i), 1 + 64);
            barrier_init(stages.empty(i), CONSUMERS);
        }
        for (int i = 0; i < TILES; i++) {
            barrier_init(stages.parts_full(i), 32 * (SPLITS - 1));
            barrier_init(stages.parts_empty(i), 32);
        }
        barrier_init_fence();
    }
    tiles.build(p);
    zero_foreign_rows(p, tiles.row_begin);
    if (threadIdx.x >= 32 * PRODUCERS) consume(p, tiles, stages);
    else if (p.a_aligned && threadIdx.x >= 32) produce_rows(p, tiles, stages);
    else if (p.a_aligned) produce_weights(p, tiles, stages);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
