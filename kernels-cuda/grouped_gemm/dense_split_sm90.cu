// Dense weights of one group by few rows on wgmma: the blocks of a cluster share a tile's K. Each streams its steps of the weights
// through a ring, then leaves its sums in shared memory and finishes a part of the tile from the sums of all, added in the
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

constexpr int CONSUMERS = BLOCK_M / 16, STEP = 64; // warps that multiply 16 rows of `a` each; elements of K
static_assert(WARPS == CONSUMERS + 2 && BLOCK_M % 64 == 0, "warpgroups, and a warp a kind of copy");
constexpr int AT_ONCE = 4; // times four columns of a row that a thread finishes

// Mirrors `SplitParams` in src/cuda/grouped_gemm/split.rs.
struct SplitParams {
    TensorMap a, w; // [rows, K] in boxes of `height` rows and [N, K] in boxes of `width`, both by 64
    GroupedGemmParams p;
    unsigned in_place;  // 0: the copy engine cannot fetch the operands or results are not aligned, all is done the exact way
    unsigned split;     // blocks of a cluster
    unsigned height;    // rows of `a` of a tile, at most BLOCK_M
    unsigned row_tiles; // side by side, so that weights are read from memory once
    unsigned width;     // weight rows of a tile: one of those in `run`
    unsigned stages;    // of the ring
    unsigned unused[10];
};
static_assert(sizeof(SplitParams) == 576, "mirrored in Rust");

// Where this block is and what it has.
struct Share {
    int rank, row, rows, col, first, steps;

    __device__ __forceinline__ explicit Share(const SplitParams& p) {
        const int tile = blockIdx.x / p.split, all = (p.p.k + STEP - 1) / STEP;
        rank = blockIdx.x % p.split;
        row = tile % p.row_tiles * p.height, col = tile / p.row_tiles * p.width;
        rows = min(int(p.height), p.p.rows - row);
        first = all * rank / p.split, steps = all * (rank + 1) / p.split - first;
    }
};

// The ring of tiles of N weight rows, and of rows of `a` to the next whole warpgroup: `shared_bytes` in split.rs. Sums lie there
// afterwards, a row of `a` a line.
template <int N>
struct Stages {
    static constexpr int WEIGHTS = N * 128, PITCH = N + 8; // floats: stores of a quarter of a warp fall into all banks
    unsigned shared, bytes, count;
    __device__ __forceinline__ Stages(const SplitParams& p, unsigned shared)
        : shared(shared), bytes(WEIGHTS + (p.height + 63) / 64 * 64 * 128), count(p.stages) {}
    __device__ __forceinline__ unsigned weights(unsigned stage) const { return shared + stage * bytes; }
    __device__ __forceinline__ unsigned rows(unsigned stage) const { return weights(stage) + WEIGHTS; }
    __device__ __forceinline__ unsigned full(unsigned stage) const { return shared + count * bytes + stage * 8; }
    __device__ __forceinline__ unsigned empty(unsigned stage) const { return full(count + stage); }
    __device__ __forceinline__ unsigned sums(int row, int col) const { return shared + (row * PITCH + col) * 4; }
};

// Where a thread stands in a ring.
struct Turn {
    unsigned stage = 0, parity = 0;
    __device__ __forceinline__ void next(unsigned count) {
        if (++stage == count) stage = 0, parity ^= 1;
    }
};

// By one thread: `bytes` a step, which `copy` asks for.
template <int N, class Copy>
__device__ __forceinline__ void produce(const Share& share, const Stages<N>& stages, unsigned bytes, Copy copy) {
    Turn turn;
#pragma unroll 1
    for (int i = 0; i < share.steps; i++, turn.next(stages.count)) {
        barrier_wait(stages.empty(turn.stage), turn.parity ^ 1);
        barrier_expect(stages.full(turn.stage), bytes);
        copy(turn.stage, (share.first + i) * STEP, stages.full(turn.stage));
    }
}

// The sums of one of `groups` warpgroups to shared memory. Rows of `a` past the tile's height are what was there: so are their sums.
template <class T, int N>
__device__ __forceinline__ void multiply(const Share& share, const Stages<N>& stages, int groups) {
    const int lane = threadIdx.x % 32, group = __shfl_sync(ALL_LANES, threadIdx.x / 128, 0);
    float d[N / 2];
    Turn turn;
    unsigned before = 0;
    const auto step = [&](unsigned add) {
        barrier_wait(stages.full(turn.stage), turn.parity);
        const unsigned long long rows = matrix_descriptor(stages.rows(turn.stage) + group * 64 * 128);
        const unsigned long long w = matrix_descriptor(stages.weights(turn.stage));
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < 4; i++) Wgmma<N>::run(T{}, d, rows + 2 * i, w + 2 * i, i > 0 ? 1 : add);
        wgmma_commit();
    };
    step(0); // defines the sums: a share has a step at least
    before = turn.stage;
    turn.next(stages.count);
#pragma unroll 1
    for (int left = share.steps - 1; left > 0; left--) {
        step(1);
        wgmma_wait<1>();
        if (lane == 0) barrier_arrive(stages.empty(before));
        before = turn.stage;
        turn.next(stages.count);
    }
    wgmma_wait<0>();
    sync_threads(1, 128 * groups); // all have read the ring, and nothing is on its way there
    const int row = threadIdx.x / 32 * 16 + lane / 4, col = lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < N / 2; i += 2) {
        store_shared_64(stages.sums(row + i % 4 / 2 * 8, col + i / 4 * 8), __float_as_uint(d[i]), __float_as_uint(d[i + 1]));
    }
}

// This block's part of the tile's rows, four columns of one at a time. A thread asks for several before it adds: an answer takes
// longer than all that is done with it.
template <class T, int N, int SPLIT>
__device__ __forceinline__ void finish(const SplitParams& p, const Share& share, const Stages<N>& stages) {
    constexpr int FOURS = N / 4;
    const int begin = p.height * share.rank / SPLIT, end = min(share.rows, int(p.height) * (share.rank + 1) / SPLIT);
    const auto has = [&](int i) { return begin + i / FOURS < end && share.col + i % FOURS * 4 < p.p.n; }; // N is a multiple of 8
#pragma unroll 1
    for (int first = threadIdx.x; begin + first / FOURS < end; first += AT_ONCE * 32 * CONSUMERS) {
        float4 part[AT_ONCE][SPLIT];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const int i = first + j * 32 * CONSUMERS;
            if (!has(i)) continue;
#pragma unroll
            for (int s = 0; s < SPLIT; s++) {
                part[j][s] = load_cluster_128(shared_of_block(stages.sums(begin + i / FOURS, i % FOURS * 4), s));
            }
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const int i = first + j * 32 * CONSUMERS, col = share.col + i % FOURS * 4;
            if (!has(i)) continue;
            float4 y = part[j][0];
#pragma unroll
            for (int s = 1; s < SPLIT; s++) {
                y.x += part[j][s].x, y.y += part[j][s].y, y.z += part[j][s].z, y.w += part[j][s].w;
            }
            if (p.p.bias.base) {
                y.x += load1(p.p.bias, 0, col), y.y += load1(p.p.bias, 0, col + 1);
                y.z += load1(p.p.bias, 0, col + 2), y.w += load1(p.p.bias, 0, col + 3);
            }
            char* to = address(p.p.d, share.row + begin + i / FOURS, col);
            if (p.p.d.dtype == F32) *(float4*)to = y;
            else *(uint2*)to = make_uint2(pair(T{}, y.x, y.y), pair(T{}, y.z, y.w));
        }
    }
}

template <class T, int N>
__device__ __forceinline__ void run_tile(const SplitParams& p, char* shared) {
    const Share share(p);
    const Stages<N> stages(p, shared_address(shared));
    const int warp = threadIdx.x / 32, groups = (p.height + 63) / 64;
    if (threadIdx.x == 0) {
        for (int i = 0; i < stages.count; i++) {
            barrier_init(stages.full(i), 2);
            barrier_init(stages.empty(i), 4 * groups);
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (warp == CONSUMERS) {
        if (threadIdx.x % 32 == 0) {
            produce(share, stages, Stages<N>::WEIGHTS, [&](unsigned stage, int k, unsigned full) {
                tma_load(stages.weights(stage), &p.w, k, share.col, full);
            });
        }
        __syncwarp();
    }
    wait_for_predecessor();
    allow_successor();
    if (warp == CONSUMERS + 1) {
        if (threadIdx.x % 32 == 0) {
            produce(share, stages, p.height * 128, [&](unsigned stage, int k, unsigned full) {
                tma_load(stages.rows(stage), &p.a, k, share.row, full);
            });
        }
        __syncwarp();
    }
    if (warp < 4 * groups) multiply<T>(share, stages, groups);
    cluster_arrive();
    cluster_wait();
    if (warp < CONSUMERS) {
        switch (p.split) {
#define CASE(SPLIT) case SPLIT: finish<T, N, SPLIT>(p, share, stages); break;
            CASE(1) CASE(2) CASE(4)
#undef CASE
        }
    }
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
        const int at = threadIdx.x / 32 * 16, col = share.col + at;
        if (share.rank == 0 && at < p.width && col < p.p.n) exact_rows<T, false>(p.p, 0, col, share.row, share.rows);
        return;
    }
    switch (p.width) {
#define CASE(N) case N: run_tile<T, N>(p, shared); break;
        CASE(48) CASE(64) CASE(80) CASE(96) CASE(128) CASE(160)
#undef CASE
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) grouped_gemm_split_bf16(const __grid_constant__ SplitParams p) {
    run<MmaBf16>(p);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) grouped_gemm_split_f16(const __grid_constant__ SplitParams p) {
    run<MmaF16>(p);
}
