// MXFP4 by bf16 on wgmma, for many rows an expert. Weights are the 64-row operand, made bf16 in registers; up to BLOCK_M rows of
// `a` are the other one, brought by TMA. One block a multiprocessor takes tile after tile: a producer warpgroup copies,
// the others multiply 64 weight rows each.
#include "epilogue_sm90.cuh"
#include "exact.cuh"
#include "finish.cuh"
#include "gather.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"
#include "ptx/wgmma.cuh"
#include "scaled_tiles.cuh"

constexpr int CONSUMERS = WARPS / 4 - 1, STEPS = BLOCK_K / 64; // warpgroups; 64 elements of K are a step
static_assert(BLOCK_N == 64 * CONSUMERS, "a warpgroup has 64 weight rows");
constexpr int ROW_BYTES = BLOCK_M * 128, TILES = BLOCK_N / TILE_ROWS, WEIGHT_BYTES = TILES * STEPS * TILE_BYTES;
constexpr int CONSUMER_REGISTERS = CONSUMERS == 3 ? 160 : 232, PRODUCER_REGISTERS = CONSUMERS == 3 ? 32 : 40;

// Dynamic shared memory, in bytes from its start: `shared_bytes` in src/cuda/grouped_gemm/prefill.rs.
constexpr int WEIGHTS_AT = STAGES * STEPS * ROW_BYTES, STAGING_AT = WEIGHTS_AT + STAGES * WEIGHT_BYTES;
constexpr int BARRIERS_AT = STAGING_AT + CONSUMERS * STAGING_BYTES, TILES_AT = BARRIERS_AT + 2 * STAGES * 8;

struct Stages {
    unsigned shared;
    __device__ __forceinline__ unsigned rows(unsigned stage) const { return shared + stage * STEPS * ROW_BYTES; }
    __device__ __forceinline__ unsigned weights(unsigned stage) const { return shared + WEIGHTS_AT + stage * WEIGHT_BYTES; }
    __device__ __forceinline__ unsigned full(unsigned stage) const { return shared + BARRIERS_AT + stage * 8; }
    __device__ __forceinline__ unsigned empty(unsigned stage) const { return full(STAGES + stage); }
};

template <bool VALUE>
struct Bool {
    static constexpr bool value = VALUE;
};

// A tile's sums on a warpgroup, N rows of `a`. While two wgmmas of half a step are under way, the next half becomes bf16 in
// the other set of registers. Were all scales in range?
template <int N>
__device__ __forceinline__ bool multiply(float* d, Ring<STAGES>& ring, const Stages& stages, int steps) {
    constexpr int TOGETHER = BLOCK_M <= 128 ? STEPS : 1; // steps whose codes are loaded together, as registers permit
    const int thread = threadIdx.x % 128, lane = thread % 32, group = threadIdx.x / 128 - 1;
    const int tile = (group * 4 + thread / 32) * STEPS * TILE_BYTES;
    unsigned even[8], odd[8], before = 0, good = 0x80808080;
    const auto issue = [&](const unsigned* w, unsigned at, unsigned add) {
        const unsigned long long rows = matrix_descriptor(at);
        wgmma_fence();
        Wgmma<N>::run(MmaBf16{}, d, w, rows, add);
        Wgmma<N>::run(MmaBf16{}, d, w + 4, rows + 2, 1);
        wgmma_commit();
    };
    const auto stage = [&](auto first, int left) {
        constexpr bool FIRST = decltype(first)::value;
        barrier_wait(stages.full(ring.stage), ring.parity);
        uint4 codes[TOGETHER];
        unsigned scales[TOGETHER];
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            if (s % TOGETHER == 0) {
#pragma unroll
                for (int j = 0; j < TOGETHER; j++) {
                    const unsigned at = stages.weights(ring.stage) + tile + (s + j) * TILE_BYTES;
                    codes[j] = load_shared_128(at + lane * 16);
                    scales[j] = load_shared_32(at + tile_scales(lane / 4));
                }
            }
            const uint4 w = codes[s % TOGETHER];
            const unsigned scale = scales[s % TOGETHER], rows = stages.rows(ring.stage) + s * ROW_BYTES;
            good &= STEPS == 1 || s < left ? in_range(scale) : ~0u; // zeros behind the end of K
            const unsigned low = block_factor(scale, 0, 0), high = block_factor(scale, 1, 0);
            scaled_pairs(w.x, low, high, even), scaled_pairs(w.y, low, high, even + 4);
            issue(even, rows, FIRST && s == 0 ? 0 : 1);
            if (!(FIRST && s == 0)) wgmma_wait<1>();
            if (!FIRST && s == 0 && lane == 0) barrier_arrive(stages.empty(before));
            const unsigned low2 = block_factor(scale, 0, 1), high2 = block_factor(scale, 1, 1);
            scaled_pairs(w.z, low2, high2, odd), scaled_pairs(w.w, low2, high2, odd + 4);
            issue(odd, rows + 64, 1);
            wgmma_wait<1>();
        }
        before = ring.stage;
        ring.next();
    };
    // The first stage is peeled off: its first wgmma defines the sums.
    stage(Bool<true>{}, steps);
    for (int left = steps - STEPS; left > 0; left -= STEPS) stage(Bool<false>{}, left);
    wgmma_wait<0>();
    if (lane == 0) barrier_arrive(stages.empty(before));
    return (good & 0x80808080) == 0x80808080;
}

// Sums and epilogue of one tile. Sharing the epilogue among the N makes the assembler wait after every wgmma.
template <int N>
__device__ __forceinline__ bool run_tile(const GroupedGemmParams& p, const TokenTiles& tiles, int index,
                                         Ring<STAGES>& ring, const Stages& stages, char* shared) {
    float d[N / 2];
    const bool good = multiply<N>(d, ring, stages, (p.k + TILE_K - 1) / TILE_K);
    const int group = threadIdx.x / 128 - 1;
    const TokenTile tile = tiles.tile(p, index);
    store_sums<N>(p, tile, tile.col + group * 64, d, SCALED_UNIT, (float*)(shared + STAGING_AT + group * STAGING_BYTES),
                  1 + group);
    return good;
}

__device__ __forceinline__ void produce_rows(const Sm90Params& p, const TokenTiles& tiles, const Stages& stages) {
    Ring<STAGES> ring;
    const int steps = (p.p.k + TILE_K - 1) / TILE_K;
    for (int index = blockIdx.x; index < tiles.count(p.p); index += gridDim.x) {
        const TokenTile tile = tiles.tile(p.p, index);
        for (int step = 0; step < steps; step += STEPS) {
            barrier_wait(stages.empty(ring.stage), ring.parity ^ 1);
            barrier_expect(stages.full(ring.stage), STEPS * tile.granules * GRANULE * 128);
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                unsigned to = stages.rows(ring.stage) + s * ROW_BYTES;
                int row = tile.row;
#pragma unroll
                for (int i = HEIGHTS - 1; i >= 0; i--) {
                    if (!(tile.granules >> i & 1)) continue;
                    tma_load(to, &p.a[i], (step + s) * 64, row, stages.full(ring.stage));
                    to += (GRANULE * 128) << i, row += GRANULE << i;
                }
            }
            ring.next();
        }
    }
}

__device__ __forceinline__ void produce_weights(const Sm90Params& p, const TokenTiles& tiles, const Stages& stages) {
    Ring<STAGES> ring;
    const int steps = (p.p.k + TILE_K - 1) / TILE_K;
    for (int index = blockIdx.x; index < tiles.count(p.p); index += gridDim.x) {
        const TokenTile tile = tiles.tile(p.p, index);
        for (int step = 0; step < steps; step += STEPS) {
            barrier_wait(stages.empty(ring.stage), ring.parity ^ 1);
            barrier_expect(stages.full(ring.stage), WEIGHT_BYTES);
            tma_load(stages.weights(ring.stage), &p.w, 0, step, tile.col / TILE_ROWS, tile.expert, stages.full(ring.stage));
            ring.next();
        }
    }
}

__device__ __forceinline__ void consume(const GroupedGemmParams& p, const TokenTiles& tiles, const Stages& stages,
                                        char* shared, bool in_place) {
    Ring<STAGES> ring;
    const int group = threadIdx.x / 128 - 1;
    for (int index = blockIdx.x; index < tiles.count(p); index += gridDim.x) {
        bool good = false;
#define CASE(I)                                                                                                         \
    case I:                                                                                                             \
        if constexpr (I * GRANULE <= BLOCK_M) good = run_tile<I * GRANULE>(p, tiles, index, ring, stages, shared);      \
        break;
        if (in_place) {
            switch (tiles.tile(p, index).granules) {
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
            }
        }
#undef CASE
        const bool all_good = __all_sync(ALL_LANES, good);
        sync_threads(1 + group, 128); // what is stored is stored
        const TokenTile tile = tiles.tile(p, index);
        const int col = tile.col + (threadIdx.x / 32 - 4) * TILE_ROWS;
        if (!all_good && col < p.n) exact_rows(p, tile.expert, col, tile.row, tile.rows);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) grouped_gemm_prefill(const __grid_constant__ Sm90Params p) {
    extern __shared__ __align__(1024) char shared[];
    TokenTiles& tiles = *(TokenTiles*)(shared + TILES_AT);
    const Stages stages{shared_address(shared)};
    if (threadIdx.x < 32) tiles.build(p.p);
    if (threadIdx.x == 32) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(stages.full(i), 2);
            barrier_init(stages.empty(i), 4 * CONSUMERS);
        }
        barrier_init_fence();
    }
    __syncthreads();
    zero_foreign_rows(p.p, tiles);
    if (threadIdx.x < 128) {
        give_registers<PRODUCER_REGISTERS>();
        if (p.in_place && threadIdx.x == 0) produce_rows(p, tiles, stages);
        if (p.in_place && threadIdx.x == 32) produce_weights(p, tiles, stages);
    } else {
        take_registers<CONSUMER_REGISTERS>();
        consume(p.p, tiles, stages, shared, p.in_place);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_gather(const __grid_constant__ Sm90Params p) { gather_rows(p); }

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
