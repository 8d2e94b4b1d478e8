// Few rows, weights of 16 bits, tensor cores: bound by reading the weights. Each warp streams its weights through a ring of
// its own, with no barrier but at the end of a tile: the warps of a block share BLOCK_N weight rows and split K, and add up in
// a fixed order through shared memory. All of K of the rows of `a` waits in shared memory as long as the tiles are of the same rows,
// which is why a block takes tiles side by side.
constexpr int MATRICES = BLOCK_N / 16; // weight rows of an mma
#include "activations.cuh"
#include "dense_ring.cuh"
#include "epilogue.cuh"
#include "finish.cuh"
#include "parts.cuh"

constexpr int COLUMNS = BLOCK_M / 8; // of eight rows of `a`

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
struct Warp {
    unsigned a[COLUMNS]; // where the lane's row of each eight has its first 16 bytes
    float sum[MATRICES][COLUMNS][4];

    __device__ __forceinline__ void set_rows(unsigned activations, int rows, int pitch) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) a[n] = activations + min(n * 8 + lane / 4, rows - 1) * pitch + lane % 4 * 16;
    }

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int m = 0; m < MATRICES; m++) {
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) sum[m][n][i] = 0.0f;
            }
        }
    }

    __device__ __forceinline__ void multiply(unsigned slot, int step, int rows) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            Fragments w[MATRICES];
#pragma unroll
            for (int m = 0; m < MATRICES; m++) Weights::fragments(slot, m, h, w[m]);
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                if (n * 8 >= rows) break;
                const uint4 b = load_shared_128(a[n] + step * ROW_BYTES + h * 64);
#pragma unroll
                for (int m = 0; m < MATRICES; m++) mma_16816(T{}, sum[m][n], w[m].a[0], b.x, b.y);
#pragma unroll
                for (int m = 0; m < MATRICES; m++) mma_16816(T{}, sum[m][n], w[m].a[1], b.z, b.w);
            }
        }
    }

    __device__ __forceinline__ void put(float (&parts)[BLOCK_M][PART_PITCH], int rows) const {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int row = n * 8 + lane % 4 * 2 + i % 2;
                if (row >= rows) continue;
#pragma unroll
                for (int m = 0; m < MATRICES; m++) parts[row][m * 16 + lane / 4 + i / 2 * 8] = sum[m][n][i];
            }
        }
    }
};

template <class T>
__device__ __forceinline__ void grouped_gemm(const GroupedGemmParams& p) {
    extern __shared__ __align__(128) char shared[];
    Shared& s = *(Shared*)shared;
    const unsigned activations = shared_address(shared + sizeof(Shared));
    s.schedule.build(p);
    // A share of the tiles, as even as can be.
    const int tiles = s.schedule.tiles(p), share = tiles / int(gridDim.x), more = tiles % int(gridDim.x);
    const int block = blockIdx.x, first = block * share + min(block, more), end = first + share + (block < more);
    if (first == end) return;
    const int steps = (p.k + STEP_K - 1) / STEP_K, mine = threadIdx.x / 32, pitch = activation_pitch(p.k);
    const unsigned ring = shared_address(s.rings[mine]), ring_end = ring + sizeof(s.rings[mine]);
    Tile tile = s.schedule.tile(p, first);
    // A warp without steps asks for nothing.
    Ahead ahead(p, tile, first, mine < steps ? end : first);
    if (tile.expert < 0) ahead.next(p, s.schedule);
#pragma unroll
    for (int i = 0; i < STAGES; i++) ahead.load(p, s.schedule, steps, ring + i * Weights::SLOT);
    Warp<T> warp;
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
            warp.clear();
#pragma unroll 1
            for (int step = mine; step < steps; step += WARPS) {
                cp_async_wait<STAGES - 1>();
                __syncwarp();
                warp.multiply(slot, step, tile.rows);
                __syncwarp(); // all lanes have read the slot that is copied to next
                ahead.load(p, s.schedule, steps, slot);
                slot = slot + Weights::SLOT == ring_end ? ring : slot + Weights::SLOT;
            }
            __syncthreads(); // all have added up the parts of the tile before, and multiplied its rows of `a`
            warp.put(s.parts[mine], tile.rows);
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
