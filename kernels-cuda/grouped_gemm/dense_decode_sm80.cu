// Few rows, weights of 16 bits, tensor cores: bound by reading the weights. Each warp streams its weights through a ring of
// its own, with no barrier but at the end of a tile: the warps of a block share BLOCK_N weight rows and split K, and add up in
// a fixed order through shared memory. All of K of the rows of `a` waits in shared memory as long as the tiles are of the same rows,
// which is why a block takes tiles side by side.
constexpr int MATRICES = BLOCK_N / 16; // weight rows of an mma
#include "activations.cuh"
#include "dense_ring.cuh"
#include "epilogue.cuh"
#include "few_rows.cuh"
#include "finish.cuh"

// Dynamic shared memory, then the rows of `a`: `shared_bytes` in src/cuda/tiles.rs.
struct alignas(16) Shared {
    char rings[WARPS][STAGES][Weights::SLOT];
    float parts[WARPS][BLOCK_M][PART_PITCH];
    Schedule<1> schedule;
};

// What a warp asks for: its steps of one tile after the other, always STAGES ahead of what it multiplies.
struct Ahead {
    Tile tile;
    int index, end, step;
    Weights weights;

    __device__ __forceinline__ Ahead(const GroupedGemmParams& p, const Tile& first, int at, int last)
        : tile(first), index(at), end(last), step(threadIdx.x / 32) {
        if (tile.expert >= 0) weights.set(p, tile.expert, tile.col);
    }

    __device__ __forceinline__ void load(const GroupedGemmParams& p, const Schedule<1>& schedule, int steps, unsigned slot) {
        if (index < end) {
            weights.load(p, step, slot);
            step += WARPS;
            if (step >= steps) next(p, schedule);
        }
        cp_async_commit();
    }

    __device__ __forceinline__ void next(const GroupedGemmParams& p, const Schedule<1>& schedule) {
        step = threadIdx.x / 32;
        do {
            if (++index >= end) return;
            tile.col += BLOCK_N;
            if (tile.col >= p.n) tile = schedule.tile(p, index);
        } while (tile.expert < 0); // weights are elsewhere
        weights.set(p, tile.expert, tile.col);
    }
};

template <class T>
__device__ __forceinline__ void grouped_gemm(const GroupedGemmParams& p) {
    extern __shared__ __align__(128) char shared[];
    Shared& s = *(Shared*)shared;
    const unsigned activations = shared_address(shared + sizeof(Shared));
    s.schedule.build(p);
    const Share share(s.schedule.tiles(p));
    const int first = share.first, end = share.end;
    if (first == end) return;
    const int steps = (p.k + STEP_K - 1) / STEP_K, mine = threadIdx.x / 32, pitch = activation_pitch(p.k);
    const unsigned ring = shared_address(s.rings[mine]), ring_end = ring + sizeof(s.rings[mine]);
    Tile tile = s.schedule.tile(p, first);
    // A warp without steps asks for nothing.
    Ahead ahead(p, tile, first, mine < steps ? end : first);
    if (tile.expert < 0) ahead.next(p, s.schedule);
#pragma unroll
    for (int i = 0; i < STAGES; i++) ahead.load(p, s.schedule, steps, ring + i * Weights::SLOT);
    PartialSums warp;
    unsigned slot = ring;
    int staged = -1;
#pragma unroll 1
    for (int index = first; index < end; index++) {
        if (tile.expert < 0) {
            store_zeros(p, tile);
        } else {
            if (tile.row != staged) {
                stage_activations<DENSE>(p, tile, activations);
                warp.set_rows(activations, tile.rows, pitch);
                staged = tile.row;
                __syncthreads();
            }
            PairBias bias;
            bias.load(p, tile);
            clear(warp.sum);
#pragma unroll 1
            for (int step = mine; step < steps; step += WARPS) {
                cp_async_wait<STAGES - 1>();
                __syncwarp();
                warp.multiply(T{}, step, tile.rows, [&](int m, int h, Fragments& w) { Weights::fragments(slot, m, h, w); });
                __syncwarp(); // all lanes have read the slot that is copied to next
                ahead.load(p, s.schedule, steps, slot);
                slot = slot + Weights::SLOT == ring_end ? ring : slot + Weights::SLOT;
            }
            __syncthreads(); // all have added up the parts of the tile before, and multiplied its rows of `a`
            warp.put(s.parts[mine], tile.rows, 1.0f);
            __syncthreads();
            store_parts(p, tile, threadIdx.x, s.parts, bias);
        }
        tile.col += BLOCK_N;
        if (tile.col >= p.n && index + 1 < end) tile = s.schedule.tile(p, index + 1);
    }
    cp_async_wait<0>();
}

#define KERNEL(NAME, T)                                                                          \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, 16 / WARPS)                         \
        NAME(const __grid_constant__ GroupedGemmParams p) {                                      \
        grouped_gemm<T>(p);                                                              \
    }

KERNEL(stream_bf16_dense, MmaBf16)
KERNEL(stream_f16_dense, MmaF16)

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
