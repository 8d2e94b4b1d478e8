// MXFP4 by bf16 for the fewest rows, where latency is what there is to save: weights go straight to registers. A warp has the same
// STEPS steps of K of every tile of its block, so that the rows of `a` of a slot stay in its registers too, and nothing is computed
// between one tile's loads and the next's but an address. Other warps add up the parts of finished tiles. Where rows are
// combined, the two blocks of a cluster do it in shared memory: there is no second launch.
#include "exact.cuh"
#include "foreign_rows.cuh"
#include "ptx/cluster.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/mma_first.cuh"
#include "ptx/overlap.cuh"
#include "ptx/stream.cuh"
#include "raised_tiles.cuh"
#include "slots.cuh"
#include "unaligned.cuh"

constexpr int FINISHERS = 4, CONSUMERS = WARPS - FINISHERS, STEPS = BLOCK_K / TILE_K;
constexpr int PART_BYTES = BLOCK_M * TILE_ROWS * 4; // what a warp has of a tile
static_assert(BLOCK_M == 8, "a column of mma");

// Dynamic shared memory: parts, rows of `a`, with a combine the rows of results. `shared_bytes` in src/cuda/grouped_gemm/direct.rs.
constexpr int ROWS_AT = FINISHERS * CONSUMERS * PART_BYTES;

struct Block {
    Slots slots;
    int row_of[MAX_ROWS];
    float weight[MAX_ROWS];
    __align__(8) unsigned long long full[FINISHERS], empty[FINISHERS];
    unsigned bad[FINISHERS]; // a scale is out of range
};

// Steps of a tile in a lane's registers.
struct Weights {
    uint4 codes[STEPS];
    unsigned scales[STEPS];

    __device__ __forceinline__ void load(const char* tile, int steps) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            codes[s] = {}, scales[s] = 0x7f7f7f7f;
            if (s >= steps) continue;
            codes[s] = load_once_128<256>(tile + s * TILE_BYTES + lane * 16);
            load_once(tile + s * TILE_BYTES + tile_scales(lane / 4), scales[s]);
        }
    }
};

// The rows of a slot, of the same steps.
struct Fragments {
    unsigned b[STEPS][8];
    bool raised;

    __device__ __forceinline__ void load(unsigned rows_at, int pitch, int rows, int steps) {
        const int lane = threadIdx.x % 32;
        const unsigned at = rows_at + min(lane % 8, rows - 1) * pitch + lane / 8 * 16;
        RaisedRange range;
        unsigned up[STEPS][8];
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const uint4 v = s < steps ? load_matrices(at + s * 128 + h * 64) : uint4{};
                b[s][4 * h] = v.x, b[s][4 * h + 1] = v.y, b[s][4 * h + 2] = v.z, b[s][4 * h + 3] = v.w;
            }
#pragma unroll
            for (int i = 0; i < 8; i++) up[s][i] = range.raise(b[s][i]);
        }
        raised = __all_sync(ALL_LANES, range.holds());
        if (!raised) return;
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
#pragma unroll
            for (int i = 0; i < 8; i++) b[s][i] = up[s][i];
        }
    }
};

// The warp's part of a tile. Were all scales in range?
__device__ __forceinline__ bool multiply(const Weights& w, const Fragments& rows, float (&sum)[4]) {
    unsigned good = 0x80808080;
#pragma unroll
    for (int s = 0; s < STEPS; s++) good &= in_range(w.scales[s]);
    sum[0] = sum[1] = sum[2] = sum[3] = 0.0f;
    if (rows.raised) {
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                unsigned a[8];
                float block[4];
                raised_pairs(h == 0 ? w.codes[s].x : w.codes[s].z, a), raised_pairs(h == 0 ? w.codes[s].y : w.codes[s].w, a + 4);
                const unsigned* b = rows.b[s] + 4 * h;
                mma_16816_first(MmaBf16{}, block, a, b[0], b[1]);
                mma_16816(MmaBf16{}, block, a + 4, b[2], b[3]);
                const float low = raised_factor(w.scales[s], 0, h), high = raised_factor(w.scales[s], 1, h);
                sum[0] += low * block[0], sum[1] += low * block[1], sum[2] += high * block[2], sum[3] += high * block[3];
            }
        }
    } else {
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                unsigned a[8];
                const unsigned low = block_factor(w.scales[s], 0, h), high = block_factor(w.scales[s], 1, h);
                scaled_pairs(h == 0 ? w.codes[s].x : w.codes[s].z, low, high, a);
                scaled_pairs(h == 0 ? w.codes[s].y : w.codes[s].w, low, high, a + 4);
                const unsigned* b = rows.b[s] + 4 * h;
                mma_16816(MmaBf16{}, sum, a, b[0], b[1]);
                mma_16816(MmaBf16{}, sum, a + 4, b[2], b[3]);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) sum[i] *= SCALED_UNIT;
    }
    return __all_sync(ALL_LANES, (good & 0x80808080) == 0x80808080);
}

// Bias of weight rows g and g + 8 of a tile as it is stored: a conversion would wait for it.
struct TileBias {
    unsigned raw[2];

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int expert, int col) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int n = col + threadIdx.x % 32 / 4 + 8 * i;
            raw[i] = 0;
            if (!p.bias.base || n >= p.n) continue;
            const char* at = address(p.bias, expert, n);
            raw[i] = p.bias.dtype == F32 ? *(const unsigned*)at : *(const unsigned short*)at;
        }
    }

    __device__ __forceinline__ float value(const GroupedGemmParams& p, int i) const {
        return p.bias.dtype == F32 ? __uint_as_float(raw[i]) : widen(p.bias.dtype, (unsigned short)raw[i]);
    }
};

// The rows of `a` of this block's slots, from the first on, which is what it gives.
__device__ __forceinline__ int stage_rows(const GroupedGemmParams& p, const Slots& slots, unsigned to, int pitch) {
    const Work& work = slots.work;
    if (work.begin == work.end) return 0;
    const Slot last = slots.all[unsigned(work.end - 1) / unsigned(work.width)];
    const int first = slots.all[work.slot].row, pieces = pitch / 16 - 1, all = (last.row + last.rows - first) * pieces;
#pragma unroll 1
    for (int i = threadIdx.x; i < all; i += 32 * WARPS) {
        const int r = unsigned(i) / unsigned(pieces), piece = i - r * pieces;
        const long long row = input_row(p, first + r);
        const char* from = row < 0 ? nullptr : address(p.a, row, 0);
        copy_16(p.a_aligned, to + r * pitch + piece * 16, from + piece * 16, from && piece * 8 < p.k ? 16 : 0);
    }
    cp_async_commit();
    return first;
}

// Results of the rows of a slot by weight rows col .. col + 16, as the fragment of mma has them. `to` is where the combine expects
// them in the first block of the cluster, `pitch` bytes a row.
__device__ __forceinline__ void put_tile(const GroupedGemmParams& p, const Slot& slot, int col, const float (&y)[4], unsigned to,
                                         int pitch) {
    const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int n = g + i / 2 * 8, r = c + i % 2;
        const float other = p.gated ? __shfl_xor_sync(ALL_LANES, y[i], 4) : 0.0f; // of weight row n ^ 1
        if (r >= slot.rows) continue;
        if (p.top_k) store_cluster(to + r * pitch + n * 4, y[i]);
        else if (col + n >= p.n) continue;
        else if (!p.gated) store1(p.d, slot.row + r, col + n, y[i]);
        else if (g % 2 == 0) store1(p.d, slot.row + r, (col + n) / 2, fast_swiglu(p.unit, y[i], other));
    }
}

// What exact_rows left in the rows in scratch.
__device__ __noinline__ void put_exact(const GroupedGemmParams& p, Slot slot, int col, unsigned to, int pitch) {
    exact_rows<MmaBf16, true>(p, slot.expert, col, slot.row, slot.rows);
    if (!p.top_k) return;
    __syncwarp();
    for (int i = threadIdx.x % 32; i < slot.rows * TILE_ROWS; i += 32) {
        const int r = i / TILE_ROWS, n = i % TILE_ROWS;
        if (col + n < p.n) store_cluster(to + r * pitch + n * 4, __ldcg((const float*)address(p.d, slot.row + r, col + n)));
    }
}

// Adds up the parts of every FINISHERS-th tile, in the order of the warps: some 400 instructions, each of which waits for the one
// before, so that one warp would not keep up. The next tile's bias is asked for before this tile is waited for.
__device__ __forceinline__ void finish_tiles(const GroupedGemmParams& p, Block& block, const Work& work, unsigned parts,
                                             unsigned results, int pitch) {
    const int lane = threadIdx.x % 32, own = threadIdx.x / 32 - CONSUMERS;
    const unsigned full = shared_address(&block.full[own]), empty = shared_address(&block.empty[own]);
    parts += own * CONSUMERS * PART_BYTES + lane * 16;
    Cursor now;
    now.set(work);
    const auto skip = [&](int tiles) {
        for (int i = 0; i < tiles; i++) now.next(work);
    };
    skip(own);
    if (now.at >= work.end) return;
    Slot slot = block.slots.all[now.slot], next_slot = slot;
    TileBias bias, next_bias;
    bias.load(p, slot.expert, (work.first + now.tile) * TILE_ROWS);
    for (unsigned parity = 0;; parity ^= 1) {
        const int col = (work.first + now.tile) * TILE_ROWS;
        const unsigned to = results + slot.row * pitch + now.tile * TILE_ROWS * 4;
        skip(FINISHERS);
        if (now.at < work.end) {
            next_slot = block.slots.all[now.slot];
            next_bias.load(p, next_slot.expert, (work.first + now.tile) * TILE_ROWS);
        }
        barrier_wait(full, parity);
        float y[4] = {};
#pragma unroll
        for (int w = 0; w < CONSUMERS; w++) {
            const uint4 part = load_shared_128(parts + w * PART_BYTES);
            y[0] += __uint_as_float(part.x), y[1] += __uint_as_float(part.y);
            y[2] += __uint_as_float(part.z), y[3] += __uint_as_float(part.w);
        }
        const bool bad = load_shared_32(shared_address(&block.bad[own]));
        __syncwarp(); // all have read
        if (lane == 0) {
            if (bad) block.bad[own] = 0;
            barrier_arrive(empty);
        }
        y[0] += bias.value(p, 0), y[1] += bias.value(p, 0), y[2] += bias.value(p, 1), y[3] += bias.value(p, 1);
        if (bad) put_exact(p, slot, col, to, pitch);
        else put_tile(p, slot, col, y, to, pitch);
        if (now.at >= work.end) return;
        slot = next_slot, bias = next_bias;
    }
}

// Rows of tokens from the rows of results, by the first block of a cluster.
__device__ __forceinline__ void combine(const GroupedGemmParams& p, const Block& block, const Work& work, unsigned results,
                                        int pitch) {
    const int local = block.slots.row_begin[p.local_first], columns = work.width * TILE_ROWS;
    const int end = p.local_count == 0 ? local : block.slots.row_begin[p.local_first + p.local_count];
#pragma unroll 1
    for (int i = threadIdx.x; i < p.tokens * columns; i += 32 * WARPS) {
        const int t = i / columns, c = i - t * columns, col = work.first * TILE_ROWS + c;
        float sum = 0.0f;
#pragma unroll 4
        for (int j = t * p.top_k; j < (t + 1) * p.top_k; j++) {
            const int row = block.row_of[j];
            if (row != -1 && (row < 0 || row >= p.rows)) report(p.status, FAULT_ROW_INDEX);
            if (row < local || row >= end) continue;
            sum += block.weight[j] * __uint_as_float(load_shared_32(results + row * pitch + c * 4));
        }
        if (col < p.n) store1(p.out, t, col, sum);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) grouped_gemm_direct(const __grid_constant__ GroupedGemmParams p) {
    extern __shared__ __align__(1024) char memory[];
    __shared__ Block block;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (p.top_k) cluster_arrive_relaxed(); // its shared memory is there once both have begun
    if (threadIdx.x < FINISHERS) {
        barrier_init(shared_address(&block.full[threadIdx.x]), CONSUMERS);
        barrier_init(shared_address(&block.empty[threadIdx.x]), 1);
        block.bad[threadIdx.x] = 0;
    }
    const int steps = (p.k + TILE_K - 1) / TILE_K, mine = warp < CONSUMERS ? steps - warp * STEPS : 0;
    const long long tile_stride = (long long)steps * TILE_BYTES;
    Slots& slots = block.slots;
    Weights ring[STAGES];
    const unsigned parts = shared_address(memory), rows_at = parts + ROWS_AT;
    const int pitch = steps * 128 + 16;
    Work work = {};
    Cursor ahead = {};
    int first_row; // of `a`, which begin with that of the first slot
    const char* weights;
    const auto start = [&] {
        weights = (const char*)p.w.base + slots.all[ahead.slot].expert * p.w_expert_bytes + warp * STEPS * TILE_BYTES +
                  (work.first + ahead.tile) * tile_stride;
    };
    const auto load = [&](Weights& to) {
        if (ahead.at >= work.end) return;
        to.load(weights, mine);
        weights += tile_stride;
        if (ahead.next(work) && ahead.at < work.end) start();
    };
    // What combines comes behind a layer with the same offsets: they are there before the kernel before this one is through,
    // and so the first weights are under way by then. Where that was wrong, it begins again.
    bool guess = p.top_k > 0;
    if (!guess) wait_for_predecessor();
    while (true) {
        slots.build(p);
        work = slots.work, ahead.set(work);
        if (ahead.at < work.end) start();
#pragma unroll
        for (int i = 0; i < STAGES; i++) load(ring[i]);
        if (guess) wait_for_predecessor();
        first_row = stage_rows(p, slots, rows_at, pitch);
        if (!guess || !slots.changed(p)) break;
        guess = false;
        cp_async_wait<0>();
    }
    allow_successor();
    if (threadIdx.x < p.tokens * p.top_k) {
        block.row_of[threadIdx.x] = p.row_of[threadIdx.x], block.weight[threadIdx.x] = p.combine_weight[threadIdx.x];
    }
    cp_async_wait<0>();
    __syncthreads();
    if (p.top_k) cluster_wait();
    slots.check(p);
    zero_foreign_rows(p, slots.row_begin);
    const unsigned results = rows_at + p.rows * pitch;
    const int results_pitch = work.width * TILE_ROWS * 4;
    if (warp >= CONSUMERS) {
        finish_tiles(p, block, work, parts, p.top_k ? shared_of_block(results, 0) : 0, results_pitch);
    } else {
        Cursor now;
        now.set(work);
        Ring<FINISHERS> finished;
        Fragments fragments;
        bool another = true;
        while (now.at < work.end) {
#pragma unroll
            for (int i = 0; i < STAGES; i++) {
                if (now.at >= work.end) break;
                if (another) {
                    const Slot slot = slots.all[now.slot];
                    fragments.load(rows_at + (slot.row - first_row) * pitch + warp * STEPS * 128, pitch, slot.rows, mine);
                }
                float sum[4];
                const bool good = multiply(ring[i], fragments, sum);
                load(ring[i]);
                barrier_wait(shared_address(&block.empty[finished.stage]), finished.parity ^ 1);
                const unsigned at = parts + (finished.stage * CONSUMERS + warp) * PART_BYTES + lane * 16;
                store_shared_128(at, {__float_as_uint(sum[0]), __float_as_uint(sum[1]), __float_as_uint(sum[2]),
                                      __float_as_uint(sum[3])});
                if (!good) block.bad[finished.stage] = 1;
                __syncwarp(); // all have stored
                if (lane == 0) barrier_arrive(shared_address(&block.full[finished.stage]));
                finished.next();
                another = now.next(work);
            }
        }
    }
    if (!p.top_k) return;
    cluster_arrive();
    if (blockIdx.x % 2 == 1) return; // its results are with the other block
    cluster_wait();
    combine(p, block, work, results, results_pitch);
}
