// What the wgmma kernels have in common: a block a multiprocessor takes tile after tile; one warpgroup copies weights and rows
// of `a` into a ring of stages, the others multiply 64 weight rows each and store. How they multiply is their template
// parameter; whether weights are prepacked MXFP4 or dense, TILED, and whether results leave through the copy engine, STAGED, is said
// before this is included.
#pragma once
constexpr int GRANULE = 16; // rows of `a` that are multiplied whether they are there or not

#include "exact.cuh"
#include "finish.cuh"
#include "foreign_rows.cuh"
#include "gather.cuh"
#include "params_sm90.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/overlap.cuh"
#include "ptx/prefetch.cuh"
#include "ptx/shared.cuh"
#include "ptx/warpgroup.cuh"
#include "scaled_tiles.cuh"
#include "staged_sm90.cuh"

constexpr int CONSUMERS = WARPS / 4 - 1, STEPS = BLOCK_K / 64; // warpgroups; 64 elements of K are a step
static_assert(BLOCK_N == 64 * CONSUMERS, "a warpgroup has 64 weight rows");
constexpr int ROW_BYTES = BLOCK_M * 128, WEIGHT_STEP = TILED ? BLOCK_N / TILE_ROWS * TILE_BYTES : BLOCK_N * 128;
constexpr int WEIGHT_BYTES = STEPS * WEIGHT_STEP;

// Dynamic shared memory, in bytes from its start: `shared_bytes` in src/cuda/grouped_gemm/prefill.rs.
constexpr int MOST_SHARED = 232448, STAGE_BYTES = STEPS * ROW_BYTES + WEIGHT_BYTES + 16; // with its barriers
constexpr int PARTS = (MOST_SHARED - STAGES * STAGE_BYTES - int(sizeof(TokenTiles))) / (CONSUMERS * PART_BYTES); // of a warpgroup
static_assert(!STAGED || (PARTS > 0 && BLOCK_M % 64 == 0), "room for results, swizzled in units of 8 rows");
constexpr int PARTS_AT = STAGES * STEPS * ROW_BYTES, WEIGHTS_AT = PARTS_AT + (STAGED ? CONSUMERS * PARTS * PART_BYTES : 0);
constexpr int STAGING_AT = WEIGHTS_AT + STAGES * WEIGHT_BYTES;
constexpr int BARRIERS_AT = STAGING_AT + (STAGED ? 0 : 4 * CONSUMERS * STAGING_BYTES), TILES_AT = BARRIERS_AT + 2 * STAGES * 8;
using Results = Parts<STAGED ? PARTS : 1>; // where they wait for the copy engine

struct Stages {
    unsigned shared;
    __device__ __forceinline__ unsigned rows(unsigned stage) const { return shared + stage * STEPS * ROW_BYTES; }
    __device__ __forceinline__ unsigned weights(unsigned stage) const { return shared + WEIGHTS_AT + stage * WEIGHT_BYTES; }
    __device__ __forceinline__ unsigned full(unsigned stage) const { return shared + BARRIERS_AT + stage * 8; }
    __device__ __forceinline__ unsigned empty(unsigned stage) const { return full(STAGES + stage); }
};

// Sums and epilogue of one tile. Sharing the epilogue among the N makes the assembler wait after every wgmma.
template <class T, bool GATED, template <int> class Product, int N>
__device__ __forceinline__ bool run_tile(const GroupedGemmParams& p, const TokenTiles& tiles, const Walk& walk,
                                         Ring<STAGES>& ring, const Stages& stages, char* shared, Results& results) {
    float d[N / 2];
    constexpr float UNIT = TILED ? SCALED_UNIT : 1.0f;
    const TokenTile tile = walk.tile(p, tiles);
    const int warp = threadIdx.x / 32 - 4, row = tile.col + warp * TILE_ROWS;
    const Bias bias(p, tile.expert, row); // on its way meanwhile
    const bool good = Product<N>::multiply(d, ring, stages, (p.k + TILE_K - 1) / TILE_K);
    if constexpr (STAGED) {
        stage_sums<T, N, GATED>(p, results, tile, tile.col + warp / 4 * 64, d, UNIT, bias);
    } else {
        float* staging = (float*)(shared + STAGING_AT + warp * STAGING_BYTES);
        store_sums<T, N, GATED>(p, tile, row, d, UNIT, bias, staging);
    }
    return good || row >= p.n; // rows past the end have no scales
}

// Rows of the steps of a stage lie behind each other, as many as are multiplied. A copy takes its thread some 200 ns whatever
// its size, so a stage is one copy where K allows it.
__device__ __forceinline__ void produce_rows(const Sm90Params& p, const TokenTiles& tiles, const Stages& stages) {
    Ring<STAGES> ring;
    const int steps = (p.p.k + TILE_K - 1) / TILE_K;
    for (Walk walk; walk.seek(p.p, tiles); walk.next()) {
        const TokenTile tile = walk.tile(p.p, tiles);
        const TensorMap* map = &p.a[tile.granules - 1];
        const int bytes = tile.granules * GRANULE * 128;
        for (int step = 0; step < steps; step += STEPS) {
            barrier_wait(stages.empty(ring.stage), ring.parity ^ 1);
            const unsigned to = stages.rows(ring.stage), full = stages.full(ring.stage);
            barrier_expect(full, STEPS * bytes);
            if (p.whole_steps) {
                tma_load(to, map, 0, tile.row, step, full);
            } else {
#pragma unroll 1
                for (int s = 0; s < STEPS; s++) tma_load(to + s * bytes, map, (step + s) * 64, tile.row, 0, full);
            }
            ring.next();
        }
    }
}

// The epilogue will not wait for memory.
__device__ __forceinline__ void prefetch_bias(const GroupedGemmParams& p, const TokenTile& tile) {
    if (!p.bias.base) return;
    for (int c = 0; c < BLOCK_N && tile.col + c < p.n; c += 32) prefetch_to_l2(address(p.bias, tile.expert, tile.col + c));
}

__device__ __forceinline__ void produce_weights(const Sm90Params& p, const TokenTiles& tiles, const Stages& stages) {
    Ring<STAGES> ring;
    const int steps = (p.p.k + TILE_K - 1) / TILE_K;
    for (Walk walk; walk.seek(p.p, tiles); walk.next()) {
        const TokenTile tile = walk.tile(p.p, tiles);
        prefetch_bias(p.p, tile);
        for (int step = 0; step < steps; step += STEPS) {
            barrier_wait(stages.empty(ring.stage), ring.parity ^ 1);
            barrier_expect(stages.full(ring.stage), WEIGHT_BYTES);
            const unsigned to = stages.weights(ring.stage), full = stages.full(ring.stage);
            if constexpr (TILED) {
                tma_load(to, &p.w, 0, step, tile.col / TILE_ROWS, tile.expert, full);
            } else {
#pragma unroll
                for (int s = 0; s < STEPS; s++) {
                    tma_load(to + s * WEIGHT_STEP, &p.w, (step + s) * 64, tile.col, tile.expert, full);
                }
            }
            ring.next();
        }
    }
}

// The exact way waits until all tiles are done: a call between them would take the uniform registers away from the main loop.
// T: the type of dense weights, and of results that are not f32.
template <class T, bool GATED, template <int> class Product>
__device__ __forceinline__ void consume(const GroupedGemmParams& p, const TokenTiles& tiles, const Stages& stages,
                                        char* shared, Results& results, bool in_place) {
    Ring<STAGES> ring;
    unsigned again = 0; // of this block's tiles those to be done the exact way, a bit for every 32nd
    int count = 0;
    for (Walk walk; walk.seek(p, tiles); walk.next(), count++) {
        bool good = false;
#define CASE(I)                                                                                                         \
    case I:                                                                                                             \
        if constexpr (I * GRANULE <= BLOCK_M) {                                                                         \
            good = run_tile<T, GATED, Product, I * GRANULE>(p, tiles, walk, ring, stages, shared, results);             \
        }                                                                                                               \
        break;
        if (in_place) {
            switch (walk.tile(p, tiles).granules) {
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
            }
        }
#undef CASE
        again |= unsigned(!good) << count % 32;
    }
    again = __reduce_or_sync(ALL_LANES, again);
    if (STAGED && Results::leads()) finish_stores();
    sync_threads(1 + threadIdx.x / 128 - 1, 128); // what is stored is stored
    count = 0;
    for (Walk walk; again && walk.seek(p, tiles); walk.next(), count++) {
        const TokenTile tile = walk.tile(p, tiles);
        const int col = tile.col + (threadIdx.x / 32 - 4) * TILE_ROWS;
        if ((again >> count % 32 & 1) && col < p.n) exact_rows<T, TILED>(p, tile.expert, col, tile.row, tile.rows);
    }
}

// Of the whole block. True for the warpgroups that multiply.
__device__ __forceinline__ bool start(const Sm90Params& p, TokenTiles& tiles, const Stages& stages) {
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(stages.full(i), 2);
            barrier_init(stages.empty(i), 4 * CONSUMERS);
        }
        barrier_init_fence();
    }
    if (STAGED && threadIdx.x == 32) prefetch_map(&p.w);
    if (STAGED && p.p.offsets) wait_for_predecessor();
    tiles.build(p.p);
    if (STAGED && !p.p.offsets) wait_for_predecessor(); // nothing was read
    if (STAGED) allow_successor();
    zero_foreign_rows(p.p, tiles.row_begin);
    return threadIdx.x >= 128;
}

constexpr int CONSUMER_REGISTERS = CONSUMERS == 3 ? 160 : 232, PRODUCER_REGISTERS = CONSUMERS == 3 ? 32 : 40;

template <bool>
struct Given {
    using Params = Sm90Params;
    static __device__ __forceinline__ const Sm90Params& operands(const Params& p) { return p; }
    static __device__ __forceinline__ const TensorMap* results(const Params&) { return nullptr; }
};
template <>
struct Given<true> {
    using Params = StagedParams;
    static __device__ __forceinline__ const Sm90Params& operands(const Params& p) { return p.s; }
    static __device__ __forceinline__ const TensorMap* results(const Params& p) { return &p.d; }
};

template <class T, bool GATED, template <int> class Product>
__device__ __forceinline__ void run(const Given<STAGED>::Params& given) {
    const Sm90Params& p = Given<STAGED>::operands(given);
    extern __shared__ __align__(1024) char shared[];
    TokenTiles& tiles = *(TokenTiles*)(shared + TILES_AT);
    const Stages stages{shared_address(shared)};
    if (start(p, tiles, stages)) {
        take_registers<CONSUMER_REGISTERS>();
        Results results(Given<STAGED>::results(given), stages.shared + PARTS_AT + (threadIdx.x / 128 - 1) * PARTS * PART_BYTES);
        consume<T, GATED, Product>(p.p, tiles, stages, shared, results, p.in_place);
        return;
    }
    give_registers<PRODUCER_REGISTERS>();
    if (p.in_place && threadIdx.x == 0) produce_rows(p, tiles, stages);
    if (p.in_place && threadIdx.x == 32) produce_weights(p, tiles, stages);
}

// A kernel of its own for gated results keeps both short enough to be compiled quickly when they are loaded.
#define KERNEL(NAME, T, GATED, PRODUCT)                                                                                 \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) NAME(                                                    \
        const __grid_constant__ Given<STAGED>::Params p) {                                                              \
        run<T, GATED, PRODUCT>(p);                                                                                      \
    }

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_gather(const __grid_constant__ Sm90Params p) {
    if constexpr (STAGED) wait_for_predecessor(), allow_successor();
    gather_rows(p);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    if constexpr (STAGED) wait_for_predecessor(), allow_successor();
    finish_rows(p);
}
