// Activations and weights of 16 bits, or MXFP4 weights, on matrix units: tiles of BLOCK_M rows x BLOCK_N weight rows. While a
// step is multiplied from one stage of LDS, the next one is stored in the other, and the one after it is on its way to registers.
// A wave has a part of 64 weight rows; a lane's sums have one weight row for each 32, and so one scale of MXFP4.
#include "../../kernels-cuda/grouped_gemm/finish.cuh"
#include "stage.h"
#include "tile_order.h"

constexpr int N_TILES = 2, N_WAVES = BLOCK_N / 64, M_WAVES = WAVES / N_WAVES, M_TILES = BLOCK_M / M_WAVES / 32;
static_assert(N_WAVES * 64 == BLOCK_N && M_WAVES * N_WAVES == WAVES && M_TILES * M_WAVES * 32 == BLOCK_M, "a wave has a part");

// A wave's part of the tile.
template <class Elements, unsigned FORMAT> struct Part {
    static constexpr bool BLOCKS = FORMAT != DENSE && !SCALED<Elements>;
    static constexpr float UNIT = FORMAT == DENSE ? 1.0f : BLOCKS ? E2M1_UNIT : E2M1_SCALED_UNIT;
    const int lane = wave_lane(), wave = threadIdx.x / 64;
    const int row = wave / N_WAVES * M_TILES * 32, column = wave % N_WAVES * N_TILES * 32;
    Sums sums[N_TILES][M_TILES] = {};

    uint4 a[M_TILES][2], w[N_TILES][2];
    float scale[N_TILES];

    __device__ __forceinline__ void read(const Stage& stage) {
#pragma unroll
        for (int kk = 0; kk < 2; kk++) {
            const int chunk = 2 * kk + lane / 32;
#pragma unroll
            for (int n = 0; n < N_TILES; n++) w[n][kk] = stage.w[chunk_at(column + 32 * n + lane % 32, chunk)];
#pragma unroll
            for (int m = 0; m < M_TILES; m++) a[m][kk] = stage.a[chunk_at(row + 32 * m + lane % 32, chunk)];
        }
#pragma unroll
        for (int n = 0; n < N_TILES; n++) scale[n] = BLOCKS ? stage.scales[column + 32 * n + lane % 32] : 1.0f;
    }

    template <class Multiply> __device__ __forceinline__ void add(const Multiply& mfma) {
        if constexpr (BLOCKS) {
#pragma unroll
            for (int n = 0; n < N_TILES; n++) {
                Sums block[1][M_TILES] = {};
                add_to(block, n, mfma);
#pragma unroll
                for (int m = 0; m < M_TILES; m++) sums[n][m] += block[0][m] * scale[n];
            }
        } else {
            add_to(sums, 0, mfma);
        }
    }

    // Of tiles from `first` on. An instruction does not follow the one whose sums it adds to.
    template <int TILES, class Multiply>
    __device__ __forceinline__ void add_to(Sums (&to)[TILES][M_TILES], int first, const Multiply& mfma) {
#pragma unroll
        for (int i = 0; i < 2 * MFMA_PARTS; i++) {
            const int kk = i / MFMA_PARTS;
#pragma unroll
            for (int n = 0; n < TILES; n++) {
#pragma unroll
                for (int m = 0; m < M_TILES; m++) {
                    to[n][m] = mfma(a[m][kk], w[first + n][kk], to[n][m], i % MFMA_PARTS);
                }
            }
        }
    }
};

// The order of a step: matrix units are busy when what was loaded is waited for, the next loads go off at once, and MXFP4 is
// converted between two matrix instructions. The compiler would have all of one kind wait for all of another.
template <unsigned FORMAT> __device__ __forceinline__ void interleave() {
    enum { VECTOR = 2, MATRIX = 8, LOADS = 0x20, LDS_READS = 0x100, LDS_WRITES = 0x200 };
    __builtin_amdgcn_sched_group_barrier(LDS_READS, 2 * (M_TILES + N_TILES), 0);
    __builtin_amdgcn_sched_group_barrier(MATRIX, 2, 0);
    __builtin_amdgcn_sched_group_barrier(LDS_WRITES, A_LOADS + (FORMAT == DENSE ? W_LOADS : 0), 0);
    __builtin_amdgcn_sched_group_barrier(LOADS, A_LOADS + (FORMAT == DENSE ? 1 : 2) * W_LOADS, 0);
#pragma unroll
    for (int i = 2; i < MFMA_PARTS * M_TILES * N_TILES; i++) {
        __builtin_amdgcn_sched_group_barrier(MATRIX, 1, 0);
        __builtin_amdgcn_sched_group_barrier(VECTOR, 8, 0);
    }
}

// Steps from `step` on, without edges, up to `whole` or to the first that instructions are not exact for.
template <bool EXACT, class Elements, unsigned FORMAT, class Multiply>
__device__ __forceinline__ int whole_steps(Part<Elements, FORMAT>& part, Loader<Elements, FORMAT>& loader, Stage (&stages)[2],
                                           int step, int whole, const Multiply& mfma) {
#pragma unroll 1
    for (; step < whole; step++) {
        const Stage& stage = stages[step % 2];
        if (!EXACT && stage.has_small()) break;
        part.read(stage);
        // Behind the last step it is that one again, which nobody reads.
        Stage& next = stages[(step + 1) % 2];
        loader.store(next);
        const auto taken = loader.take();
        loader.load(min(step + 2, whole - 1) * BLOCK_K);
        loader.store(next, taken);
        part.add(mfma);
        if (!part.BLOCKS) interleave<FORMAT>();
        __syncthreads();
    }
    return step;
}

template <class Elements, unsigned FORMAT> __device__ __forceinline__ void multiply(const GroupedGemmParams& p) {
    __shared__ Tile tile;
    __shared__ int edges[WAVES];
    __shared__ __align__(16) Stage stages[2];
    const Place place = place_of(p, blockIdx.x);
    const int first_column = place.column * BLOCK_N;
    if (threadIdx.x < 32) {
        const Tile found = find_tile(p, place.row);
        if (threadIdx.x == 0) tile = found;
        if (blockIdx.x == 0 && p.offsets) check_offsets(p.offsets, p.experts + 1, p.rows, p.status);
    }
    __syncthreads();
    if (tile.expert < 0 || first_column >= p.n) return;
    const int expert = tile.expert - p.local_first;
    const bool local = expert >= 0 && expert < p.local_count;
    if (!local && p.top_k) return; // the combine leaves them out

    Part<Elements, FORMAT> part;
    if (local) {
        Loader<Elements, FORMAT> loader(p, tile, first_column);
        const bool edge = __builtin_amdgcn_ballot_w64(!loader.plain()) != 0;
        edges[threadIdx.x / 64] = edge;
        __syncthreads();
        bool plain = true;
#pragma unroll
        for (int i = 0; i < WAVES; i++) plain = plain && edges[i] == 0;
        const int whole = __builtin_amdgcn_readfirstlane(plain ? p.k / BLOCK_K : 0);
        if (whole > 0) {
            loader.load(0);
            loader.store(stages[0]), loader.store(stages[0], loader.take());
            loader.load(min(1, whole - 1) * BLOCK_K);
            __syncthreads();
        }
        const int step = whole_steps<!MFMA_FLUSHES>(part, loader, stages, 0, whole, mfma_part<Elements>);
        // From there on all: sums may be subnormal, too.
        if (MFMA_FLUSHES) whole_steps<true>(part, loader, stages, step, whole, mfma_part_exact<Elements>);
#pragma unroll 1
        for (int k = whole * BLOCK_K; k < p.k; k += BLOCK_K) {
            loader.load_edge(k);
            loader.store(stages[0]), loader.store(stages[0], loader.take());
            __syncthreads();
            part.read(stages[0]);
            part.add(mfma_part_exact<Elements>);
            __syncthreads();
        }
    }

#pragma unroll
    for (int n = 0; n < N_TILES; n++) {
        const int c = first_column + part.column + 32 * n + part.lane % 32;
        const float bias = local && p.bias.base && c < p.n ? load1(p.bias, expert, weight_row(p, c)) : 0.0f;
#pragma unroll
        for (int m = 0; m < M_TILES; m++) {
#pragma unroll
            for (int i = 0; i < 16; i++) {
                const float sum = part.sums[n][m][i] * part.UNIT + bias;
                const float up = __shfl_xor_sync(ALL_LANES, sum, 1); // the next column, of those that keep theirs
                const int r = tile.first + part.row + 32 * m + mfma_row(i);
                if (r >= tile.last || c >= p.n) continue;
                if (!p.gated) store1(p.d, r, c, sum);
                else if (c % 2 == 0) store1(p.d, r, c / 2, local ? swiglu(p.unit, sum, up) : 0.0f);
            }
        }
    }
}

#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS) __attribute__((amdgpu_waves_per_eu(2, 2)))
KERNEL mfma_bf16_dense(const __grid_constant__ GroupedGemmParams p) { multiply<Bf16s, DENSE>(p); }
KERNEL mfma_bf16_mxfp4(const __grid_constant__ GroupedGemmParams p) { multiply<Bf16s, MXFP4>(p); }
KERNEL mfma_bf16_prepacked(const __grid_constant__ GroupedGemmParams p) { multiply<Bf16s, PREPACKED>(p); }
KERNEL mfma_f16_dense(const __grid_constant__ GroupedGemmParams p) { multiply<F16s, DENSE>(p); }
KERNEL mfma_f16_mxfp4(const __grid_constant__ GroupedGemmParams p) { multiply<F16s, MXFP4>(p); }
KERNEL mfma_f16_prepacked(const __grid_constant__ GroupedGemmParams p) { multiply<F16s, PREPACKED>(p); }
extern "C" __global__ void __launch_bounds__(THREADS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
