// Dense weights of one group by few rows on wgmma: the blocks of a cluster share a tile's K. Each streams its steps of the weights
// through a ring, then leaves its sums in shared memory and finishes some of the tile's rows from the sums of all, added in the
// order of K. Weights are asked for before the launch before is through: it does not write them.
#include "exact.cuh"
#include "ptx/cluster.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/overlap.cuh"
#include "ptx/pairs.cuh"
#include "ptx/prefetch.cuh"
#include "ptx/shared.cuh"
#include "ptx/warpgroup.cuh"
#include "ptx/wgmma.cuh"

constexpr int CONSUMERS = WARPS - 2, STEP = 64, MOST_SPLIT = 8, MOST_SHARED = 232448; // warps; elements of K; blocks of a cluster
static_assert(BLOCK_N == 16 * CONSUMERS && BLOCK_N == 128, "a warp has 16 weight rows, and finishes a row of results four a lane");
constexpr int GRANULE = 16; // heights of tiles are multiples of it
constexpr int PITCH = BLOCK_N + 4; // of sums: two rows lie eight banks apart

// Mirrors `SplitParams` in src/cuda/grouped_gemm/split.rs.
struct SplitParams {
    TensorMap a, w; // [rows, K] in boxes of `height` rows and [N, K] in boxes of BLOCK_N, both by 64
    GroupedGemmParams p;
    unsigned in_place;  // 0: the copy engine cannot fetch the operands or results are not aligned, all is done the exact way
    unsigned split;     // blocks of a cluster
    unsigned height;    // rows of `a` of a tile
    unsigned row_tiles; // side by side, so that weights are read from memory once
    unsigned unused[12];
};
static_assert(sizeof(SplitParams) == 576, "mirrored in Rust");

// Where this block is and what it has.
struct Share {
    int rank, row, rows, col, first, steps;

    __device__ __forceinline__ explicit Share(const SplitParams& p) {
        const int tile = blockIdx.x / p.split, all = (p.p.k + STEP - 1) / STEP;
        rank = blockIdx.x % p.split;
        row = tile % p.row_tiles * p.height, col = tile / p.row_tiles * BLOCK_N;
        rows = min(int(p.height), p.p.rows - row);
        first = all * rank / p.split, steps = all * (rank + 1) / p.split - first;
    }
};

// The ring of tiles of N rows of `a`: `shared_bytes` in split.rs.
template <int N>
struct Stages {
    static constexpr int ROWS = N * 128, BYTES = ROWS + BLOCK_N * 128;
    static constexpr int FIT = MOST_SHARED / (BYTES + 16), COUNT = FIT < STAGES ? FIT : STAGES;
    static_assert(COUNT * BYTES >= N * PITCH * 4, "room for the sums");
    unsigned shared;
    __device__ __forceinline__ unsigned weights(unsigned stage) const { return shared + stage * BYTES; }
    __device__ __forceinline__ unsigned rows(unsigned stage) const { return weights(stage) + BLOCK_N * 128; }
    __device__ __forceinline__ unsigned full(unsigned stage) const { return shared + COUNT * BYTES + stage * 8; }
    __device__ __forceinline__ unsigned empty(unsigned stage) const { return full(COUNT + stage); }
};

// By one thread: `bytes` a step, which `copy` asks for.
template <int N, class Copy>
__device__ __forceinline__ void produce(const Share& share, const Stages<N>& stages, unsigned bytes, Copy copy) {
    Ring<Stages<N>::COUNT> ring;
#pragma unroll 1
    for (int i = 0; i < share.steps; i++, ring.next()) {
        barrier_wait(stages.empty(ring.stage), ring.parity ^ 1);
        barrier_expect(stages.full(ring.stage), bytes);
        copy(ring.stage, (share.first + i) * STEP, stages.full(ring.stage));
    }
}

// This block's sums to its shared memory, a row of `a` a line. The ring is read and nothing is on its way there.
template <class T, int N>
__device__ __forceinline__ void multiply(const Share& share, const Stages<N>& stages) {
    const int lane = threadIdx.x % 32, group = __shfl_sync(ALL_LANES, threadIdx.x / 128, 0);
    float d[N / 2];
    Ring<Stages<N>::COUNT> ring;
    unsigned before = 0;
    const auto step = [&](unsigned add) {
        barrier_wait(stages.full(ring.stage), ring.parity);
        const unsigned long long w = matrix_descriptor(stages.weights(ring.stage) + group * 64 * 128);
        const unsigned long long rows = matrix_descriptor(stages.rows(ring.stage));
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < 4; i++) Wgmma<N>::run(T{}, d, w + 2 * i, rows + 2 * i, i > 0 ? 1 : add);
        wgmma_commit();
    };
    step(0); // defines the sums: a share has a step at least
    before = ring.stage;
    ring.next();
#pragma unroll 1
    for (int left = share.steps - 1; left > 0; left--) {
        step(1);
        wgmma_wait<1>();
        if (lane == 0) barrier_arrive(stages.empty(before));
        before = ring.stage;
        ring.next();
    }
    wgmma_wait<0>();
    sync_threads(1, 32 * CONSUMERS);
    const unsigned to = stages.shared + (lane % 4 * 2 * PITCH + threadIdx.x / 32 * 16 + lane / 4) * 4;
#pragma unroll
    for (int i = 0; i < N / 2; i++) {
        const int row = i / 4 * 8 + i % 2, col = i % 4 / 2 * 8;
        store_shared_32(to + (row * PITCH + col) * 4, __float_as_uint(d[i]));
    }
}

// This block's part of the tile's rows, a warp one after the other, four columns a lane.
template <class T>
__device__ __forceinline__ void finish(const SplitParams& p, const Share& share, unsigned sums) {
    const int split = p.split, col = share.col + threadIdx.x % 32 * 4, end = min(share.rows, int(p.height) * (share.rank + 1) / split);
    if (col >= p.p.n) return; // N is a multiple of 8
    float bias[4] = {};
    if (p.p.bias.base) {
#pragma unroll
        for (int i = 0; i < 4; i++) bias[i] = load1(p.p.bias, 0, col + i);
    }
#pragma unroll 1
    for (int r = p.height * share.rank / split + threadIdx.x / 32; r < end; r += CONSUMERS) {
        const unsigned at = sums + (r * PITCH + threadIdx.x % 32 * 4) * 4;
        float4 part[MOST_SPLIT];
#pragma unroll
        for (int i = 0; i < MOST_SPLIT; i++) {
            if (i < split) part[i] = load_cluster_128(shared_of_block(at, i));
        }
        float4 y = part[0];
#pragma unroll
        for (int i = 1; i < MOST_SPLIT; i++) {
            if (i < split) y.x += part[i].x, y.y += part[i].y, y.z += part[i].z, y.w += part[i].w;
        }
        y.x += bias[0], y.y += bias[1], y.z += bias[2], y.w += bias[3];
        char* to = address(p.p.d, share.row + r, col);
        if (p.p.d.dtype == F32) *(float4*)to = y;
        else *(uint2*)to = make_uint2(pair(T{}, y.x, y.y), pair(T{}, y.z, y.w));
    }
}

template <class T, int N>
__device__ __forceinline__ void run_tile(const SplitParams& p, char* shared) {
    const Share share(p);
    const Stages<N> stages{shared_address(shared)};
    const int warp = threadIdx.x / 32;
    if (threadIdx.x == 0) {
        for (int i = 0; i < Stages<N>::COUNT; i++) {
            barrier_init(stages.full(i), 2);
            barrier_init(stages.empty(i), CONSUMERS);
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (warp == CONSUMERS) {
        if (threadIdx.x % 32 == 0) {
            produce(share, stages, BLOCK_N * 128, [&](unsigned stage, int k, unsigned full) {
                tma_load(stages.weights(stage), &p.w, k, share.col, full);
            });
        }
        __syncwarp();
    }
    wait_for_predecessor();
    allow_successor();
    if (warp == CONSUMERS + 1) {
        if (threadIdx.x % 32 == 0) {
            produce(share, stages, Stages<N>::ROWS, [&](unsigned stage, int k, unsigned full) {
                tma_load(stages.rows(stage), &p.a, k, share.row, full);
            });
        }
        __syncwarp();
    }
    if (warp < CONSUMERS) multiply<T>(share, stages);
    cluster_arrive();
    cluster_wait();
    if (warp < CONSUMERS) finish<T>(p, share, stages.shared);
    cluster_arrive_relaxed(); // nobody goes while others read its sums
    cluster_wait();
}

template <class T>
__device__ __forceinline__ void run(const SplitParams& p) {
    extern __shared__ __align__(1024) char shared[];
    if (!p.in_place) {
        wait_for_predecessor();
        allow_successor();
        const Share share(p);
        const int warp = threadIdx.x / 32, col = share.col + warp * 16;
        if (share.rank == 0 && warp < CONSUMERS && col < p.p.n) exact_rows<T, false>(p.p, 0, col, share.row, share.rows);
        return;
    }
    switch (p.height / GRANULE) {
#define CASE(I) case I: run_tile<T, GRANULE * I>(p, shared); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
    }
}
static_assert(BLOCK_M == 128, "heights of tiles");

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) grouped_gemm_split_bf16(const __grid_constant__ SplitParams p) {
    run<MmaBf16>(p);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) grouped_gemm_split_f16(const __grid_constant__ SplitParams p) {
    run<MmaF16>(p);
}
