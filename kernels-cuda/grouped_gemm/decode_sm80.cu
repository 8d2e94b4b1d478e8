// Few rows an expert and prepacked MXFP4, tensor cores: bound by reading and decoding the weights. SPLIT warps share a tile of
// BLOCK_N weight rows and split K; each streams its weights from global memory into registers, a stage ahead of the one that it
// multiplies. All of K of the rows of `a` waits in shared memory as long as the tiles are of the same rows, which is why a
// block takes tiles side by side, its groups of SPLIT warps in turn.
constexpr int MATRICES = BLOCK_N / 16; // weight rows of an mma
static_assert(MATRICES <= 2, "at most one of them is behind the last row");
#include "activations.cuh"
#include "epilogue.cuh"
#include "few_rows.cuh"
#include "finish.cuh"
#include "ptx/barrier.cuh"
#include "tile_steps.cuh"

constexpr int SPLIT = BLOCK_K / STEP_K, GROUPS = WARPS / SPLIT;

// Dynamic shared memory, then the rows of `a`: `shared_bytes` in src/cuda/tiles.rs.
struct alignas(16) Shared {
    float parts[GROUPS][2][SPLIT][BLOCK_M][PART_PITCH];
    Schedule<1> schedule;
};

__device__ __forceinline__ int group() { return threadIdx.x / 32 / SPLIT; }
__device__ __forceinline__ int part() { return threadIdx.x / 32 % SPLIT; }

// Tiles side by side, of the same rows: `begin` to `end` of the block's, `tile` being the first.
struct Run {
    Tile tile;
    int begin, end;

    __device__ __forceinline__ Run(const GroupedGemmParams& p, const Schedule<1>& schedule, int first, int last) {
        tile = schedule.tile(p, first);
        begin = first, end = min(last, first + (p.n - tile.col + BLOCK_N - 1) / BLOCK_N);
    }

    __device__ __forceinline__ int col(int index) const { return tile.col + (index - begin) * BLOCK_N; }
};

// STAGES steps of a tile.
struct Stage {
    TileStep steps[STAGES][MATRICES];
};

// What a warp asks for: the stages of its group's tiles, one after the other.
struct Ahead {
    Run run;
    int index, last, step;
    TileSource source;

    __device__ __forceinline__ Ahead(const GroupedGemmParams& p, const Schedule<1>& schedule, const Run& first, int end)
        : run(first), index(first.begin + group()), last(end) {
        find(p, schedule);
    }

    __device__ __forceinline__ void load(const GroupedGemmParams& p, const Schedule<1>& schedule, int steps, Stage& to) {
        if (index >= last) return;
#pragma unroll
        for (int i = 0; i < STAGES; i++) {
            if (step + i * SPLIT >= steps) break;
            source.load(p, i * SPLIT, to.steps[i]);
        }
        step += STAGES * SPLIT;
        source.advance(STAGES * SPLIT);
        if (step - part() >= steps) {
            index += GROUPS;
            find(p, schedule);
        }
    }

  private:
    // The next tile from `index` on whose weights are here.
    __device__ __forceinline__ void find(const GroupedGemmParams& p, const Schedule<1>& schedule) {
        while (index >= run.end || run.tile.expert < 0) {
            if (run.end >= last) {
                index = last;
                return;
            }
            run = Run(p, schedule, run.end, last);
            index = run.begin + group();
        }
        source.set(p, run.tile.expert, run.col(index));
        source.advance(part());
        step = part();
    }
};

template <bool LARGE>
__device__ __forceinline__ void multiply(PartialSums& sums, const TileStep (&weights)[MATRICES], int step, int rows) {
    sums.multiply(MmaBf16{}, step, rows, [&](int m, int h, Fragments& w) { weights[m].template fragments<LARGE>(h, w); });
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 16 / WARPS)
    decode_bf16_tiled(const __grid_constant__ GroupedGemmParams p) {
    extern __shared__ __align__(128) char shared[];
    Shared& s = *(Shared*)shared;
    const unsigned activations = shared_address(shared + sizeof(Shared));
    s.schedule.build(p);
    const Share share(s.schedule.tiles(p));
    const int first = share.first, end = share.end;
    if (first == end) return;
    const int steps = (p.k + STEP_K - 1) / STEP_K, pitch = activation_pitch(p.k), thread = threadIdx.x % (32 * SPLIT);
    Run run(p, s.schedule, first, end);
    Ahead ahead(p, s.schedule, run, end);
    Stage current, next;
    ahead.load(p, s.schedule, steps, next);
    PartialSums warp;
    int turn = 0;
    while (true) {
        if (run.tile.expert < 0) {
            Tile zeros = run.tile;
            for (int index = run.begin; index < run.end; index++, zeros.col += BLOCK_N) store_zeros(p, zeros);
        } else {
            stage_activations<MXFP4_TILED>(p, run.tile, activations);
            warp.set_rows(activations, run.tile.rows, pitch);
            __syncthreads();
#pragma unroll 1
            for (int index = run.begin + group(); index < run.end; index += GROUPS) {
                Tile tile = run.tile;
                tile.col = run.col(index);
                PairBias bias;
                bias.load(p, tile);
                clear(warp.sum);
#pragma unroll 1
                for (int step = part(); step - part() < steps; step += STAGES * SPLIT) {
                    current = next;
                    ahead.load(p, s.schedule, steps, next);
#pragma unroll
                    for (int i = 0; i < STAGES; i++) {
                        if (step + i * SPLIT >= steps) break;
                        if (large(current.steps[i])) {
                            multiply<true>(warp, current.steps[i], step + i * SPLIT, tile.rows);
                        } else {
                            multiply<false>(warp, current.steps[i], step + i * SPLIT, tile.rows);
                        }
                    }
                }
                auto& parts = s.parts[group()][turn];
                turn ^= 1;
                warp.put(parts[part()], tile.rows, E2M1_SCALED_UNIT);
                named_barrier(1 + group(), 32 * SPLIT); // and all have added up the parts of the tile before
                store_parts(p, tile, thread, parts, bias);
            }
            __syncthreads(); // all have multiplied these rows
        }
        if (run.end >= end) return;
        run = Run(p, s.schedule, run.end, end);
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
