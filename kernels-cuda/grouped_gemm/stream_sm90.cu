// MXFP4 by bf16 for few rows an expert. Weights are the 16-row operand of mma.sync; decoding them is what takes the time,
// so that everything else has to be cheap. A block has tiles of weight rows side by side, by the same rows of `a`, which wait in
// shared memory; its warps share out the tiles and K in equal runs. Each streams its own weights, and waits for no other warp
// until the rows change.
#include "exact.cuh"
#include "finish.cuh"
#include "foreign_rows.cuh"
#include "ptx/overlap.cuh"
#include "ptx/proxy.cuh"
#include "ptx/shared_size.cuh"
#include "staged_rows.cuh"
#include "stream.cuh"
#include "tile_sums.cuh"

// Dynamic shared memory, in bytes from its start: `shared_bytes` in src/cuda/grouped_gemm/stream.rs. Rows of `a` have the rest.
constexpr int PARTS_AT = WARPS * STAGES * STAGE_BYTES, BARRIERS_AT = PARTS_AT + WARPS * PART_BYTES;
constexpr int GOOD_AT = BARRIERS_AT + (WARPS * STAGES + 1) * 8, PLACES_AT = GOOD_AT + WARPS * 4;
constexpr int SHARES_AT = PLACES_AT + 2 * WARPS * int(sizeof(Place));
constexpr int ROWS_AT = (SHARES_AT + int(sizeof(Shares)) + 127) / 128 * 128;
static_assert(STAGE_BYTES >= PART_BYTES, "a stage that has been read holds a finished tile");

// Parts of tiles that pass from one warp to another.
struct Parts {
    unsigned shared;
    __device__ __forceinline__ unsigned part(int warp) const { return shared + PARTS_AT + warp * PART_BYTES; }
    __device__ __forceinline__ unsigned good(int warp) const { return shared + GOOD_AT + warp * 4; }
    // Every lane arrives when it has read those of a segment.
    __device__ __forceinline__ unsigned read() const { return shared + BARRIERS_AT + WARPS * STAGES * 8; }
};

// This warp's run of segment `turn`. Of a tile that several warps have a part of, the warp with the first part adds them up.
// `meet()` is a barrier of the block behind all runs.
template <int COLUMNS, bool RAISED, class Meet>
__device__ __forceinline__ void run_segment(const GroupedGemmParams& p, const Shares& shares, const Segment& segment, int turn,
                                            const Parts& parts, unsigned rows_at, int pitch, Stream& stream, Meet meet) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, steps = stream.steps;
    const Run run(segment.count, steps, warp);
    const int first = run.begin / steps;
    Pieces pieces;
    pieces.set(run, run.begin - first * steps);
    unsigned rows[COLUMNS];
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
        rows[j] = rows_at + min(8 * j + lane % 8, segment.rows - 1) * pitch + lane / 8 * 16 + pieces.step * 128;
    }
    int tile = first;
    const auto col = [&] { return (segment.first + tile) * TILE_ROWS; };
    PairBias bias;
    bias.load(p, segment.expert, col());
    TileSums<COLUMNS, RAISED> sums;
    sums.clear();
    unsigned again = 0; // tiles to be done the exact way, a bit for every 32nd
    bool gives = pieces.step > 0;
    const auto give = [&] {
        barrier_wait(parts.read(), turn & 1 ^ 1); // those of the segment before
        const bool good = sums.put(parts.part(warp));
        if (lane == 0) store_shared_32(parts.good(warp), good);
    };
    unsigned stage = 0;
#pragma unroll 1
    while (pieces.left > 0) {
        const int length = pieces.length(steps);
        stage = stream.wait();
        const unsigned codes_at = stage + lane * 16, scales_at = stage + tile_scales(lane / 4);
        const auto step = [&](int s) {
            sums.multiply(load_shared_128(codes_at + s * TILE_BYTES), load_shared_32(scales_at + s * TILE_BYTES), rows, s * 128);
        };
        if (length == STEPS) {
#pragma unroll
            for (int s = 0; s < STEPS; s++) step(s);
        } else {
#pragma unroll 1
            for (int s = 0; s < length; s++) step(s);
        }
        stream.now.next();
        const bool end = pieces.next(length, steps);
        const int moved = length - (end ? steps : 0);
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) rows[j] += moved * 128;
        __syncwarp(); // all have read the stage
        if (end) {
            if (gives) {
                give();
            } else {
                const bool good = sums.put(stage);
                __syncwarp();
                store_tile(p, segment, col(), bias, stage, 0, 0);
                again |= unsigned(!good) << (tile - first) % 32;
                fence_for_async(); // the stage is written again
                __syncwarp();
            }
            gives = false;
            sums.clear();
            tile++;
            if (pieces.left == 0) break;
            bias.load(p, segment.expert, col());
        }
        if (pieces.left > 0) stream.load(p, shares);
    }
    const bool takes = pieces.step > 0 && !gives; // of a tile of which others have the rest
    bool good = true;
    if (takes) good = sums.put(stage);
    else if (pieces.step > 0) give();
    meet();
    if (takes) {
        int others = 0;
        for (int other = warp + 1; other < WARPS && Run(segment.count, steps, other).begin < (tile + 1) * steps; other++) {
            good = good && load_shared_32(parts.good(other));
            others++;
        }
        store_tile(p, segment, col(), bias, stage, parts.part(warp + 1), others);
        again |= unsigned(!good) << (tile - first) % 32;
        fence_for_async();
    }
    barrier_arrive(parts.read());
    __syncwarp();
    if (stage) stream.load(p, shares);
    if (!again) return;
    for (int t = first; t < tile + takes; t++) {
        // The first may be another warp's; it has no bit here, but the 32nd after it may.
        if (t * steps < run.begin || !(again >> (t - first) % 32 & 1)) continue;
        exact_rows<MmaBf16, true>(p, segment.expert, (segment.first + t) * TILE_ROWS, segment.row, segment.rows);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 16 / WARPS) grouped_gemm_stream(const __grid_constant__ GroupedGemmParams p) {
    extern __shared__ __align__(1024) char memory[];
    Shares& shares = *(Shares*)(memory + SHARES_AT);
    const Parts parts{shared_address(memory)};
    const unsigned barriers = parts.shared + BARRIERS_AT;
    if (threadIdx.x < WARPS * STAGES) barrier_init(barriers + threadIdx.x * 8, 1);
    if (threadIdx.x == WARPS * STAGES) barrier_init(parts.read(), 32 * WARPS);
    barrier_init_fence();
    const int warp = threadIdx.x / 32, steps = (p.k + TILE_K - 1) / TILE_K;
    Place(&places)[2] = ((Place(*)[2])(memory + PLACES_AT))[warp];
    Stream stream{parts.shared + warp * STAGES * STAGE_BYTES, barriers + warp * STAGES * 8, steps, &places[0]};
    const auto next_segment = [&] {
        Place at = places[1];
        const Segment segment = shares.next(p, at);
        __syncwarp(); // all have read it
        places[1] = at;
        __syncwarp();
        return segment;
    };
    // Rows of this segment and of the next lie at the two ends of the space for rows.
    const StagedRows staged(steps);
    const int space = (dynamic_shared_bytes() - ROWS_AT) / staged.pitch;
    const auto rows_at = [&](const Segment& s, int turn) {
        return parts.shared + ROWS_AT + (turn % 2 == 0 ? 0 : space - s.rows) * staged.pitch;
    };
    // What combines comes behind a layer with the same offsets: they are there before the kernel before this one is through,
    // and so the first weights are under way by then. Where that was wrong, it begins again.
    bool guess = p.top_k > 0;
    if (!guess) wait_for_predecessor();
    Segment segment;
    while (true) {
        shares.build(p);
        places[0] = places[1] = shares.bounds[0];
        __syncwarp();
        segment = next_segment();
        if (!guess) staged.load(p, segment, rows_at(segment, 0));
        int loaded = 0;
#pragma unroll 1
        while (loaded < STAGES && stream.load(p, shares)) loaded++;
        if (!guess) break;
        wait_for_predecessor();
        staged.load(p, segment, rows_at(segment, 0));
        if (!shares.changed(p)) break;
        guess = false;
        cp_async_wait<0>();
        for (; loaded > 0; loaded--, stream.now.next()) stream.wait();
        stream.pieces.left = 0;
    }
    allow_successor();
    bool exceeds = false; // what raised rows may be
    // Raises what this thread has loaded of a segment, and waits for the others.
    const auto arrived = [&](const Segment& s, int turn) {
        cp_async_wait<0>();
        exceeds = __syncthreads_or(s.rows <= NARROW && !staged.raise(s, rows_at(s, turn)));
    };
    arrived(segment, 0);
    shares.check(p);
    zero_foreign_rows(p, shares.row_begin);
#pragma unroll 1
    for (int turn = 0; segment.count > 0; turn++) {
        const unsigned at = rows_at(segment, turn);
        if (exceeds) { // as they were
            staged.load(p, segment, at);
            cp_async_wait<0>();
            __syncthreads();
        }
        const Segment next = next_segment();
        const bool both = segment.rows + next.rows <= space;
        if (both) staged.load(p, next, rows_at(next, turn + 1));
        const bool raised = segment.rows <= NARROW && !exceeds;
        const auto meet = [&] {
            if (both) arrived(next, turn + 1);
            else __syncthreads();
        };
        if (raised) run_segment<1, true>(p, shares, segment, turn, parts, at, staged.pitch, stream, meet);
        else run_segment<2, false>(p, shares, segment, turn, parts, at, staged.pitch, stream, meet);
        if (!both) {
            staged.load(p, next, rows_at(next, turn + 1));
            arrived(next, turn + 1);
        }
        segment = next;
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    allow_successor();
    wait_for_predecessor();
    finish_rows(p);
}
