// Few rows of bf16 an expert, MXFP4 weights as OpenAI stores them: tiles of 16 rows x BLOCK_N weight rows, each loaded once, straight
// to registers. The waves of a block share K, a step each in turn, and add their sums in LDS in the end. A lane loads of a step
// one block of 32 elements of a row, and so the scale of its weights is its own.
#include "../../kernels-cuda/grouped_gemm/expert_tile.cuh"
#include "../../kernels-cuda/grouped_gemm/finish.cuh"
#include "codes.h"
#include "gcn/mfma.h"
#include "stored.h"

constexpr int THREADS = 32 * WARPS, WAVES = THREADS / 64, TILES = BLOCK_N / 16, PITCH = BLOCK_N + 1;
static_assert(BLOCK_M == 16 && BLOCK_K == 128, "four blocks of 16 rows for the lanes of a wave");
static_assert(THREADS == BLOCK_M * BLOCK_N / 2, "a thread writes two columns");

typedef unsigned Words __attribute__((ext_vector_type(4), aligned(4))); // weights may be aligned to words only

// A lane's part of a step.
struct Step {
    uint4 a[4];
    Words codes[TILES];
    unsigned scale[TILES];
};

struct Streams {
    const GroupedGemmParams& p;
    const int own; // of a step's blocks
    const long long a_row; // -1: zeros
    const char* a_at;
    const unsigned char *w_at[TILES], *scale_at[TILES];

    // Rows and columns past the tile's are others again: nobody stores what becomes of them.
    __device__ __forceinline__ Streams(const GroupedGemmParams& p, const Tile& tile, int column)
        : p(p), own(wave_lane() / 16), a_row(input_row(p, min(tile.first + int(wave_lane() % 16), tile.last - 1))) {
        a_at = address(p.a, max(a_row, 0ll), own * 32);
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            const int n = weight_row(p, min(column + 16 * i + int(wave_lane() % 16), p.n - 1));
            const long long block = ((long long)(tile.expert - p.local_first) * p.n + n) * (p.k / 32) + own;
            w_at[i] = (const unsigned char*)p.w.base + 16 * block, scale_at[i] = p.w_scales + block;
        }
    }

    // A step whose blocks are all there. Weights pass the caches by, which hold the rows.
    __device__ __forceinline__ Step load(int step) const {
        Step out;
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            out.codes[i] = __builtin_nontemporal_load((const Words*)(w_at[i] + 64ll * step));
            out.scale[i] = __builtin_nontemporal_load(scale_at[i] + 4ll * step);
        }
#pragma unroll
        for (int j = 0; j < 4; j++) out.a[j] = ((const uint4*)(a_at + 256ll * step))[j];
        return out;
    }

    // The same where rows are zeros, are not aligned or end: zeros.
    __device__ __forceinline__ Step load_edge(int step) const {
        const int block = 4 * step + own;
        if (block >= p.k / 32) return {};
        Step out;
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            out.codes[i] = *(const Words*)(w_at[i] + 64ll * step), out.scale[i] = scale_at[i][4ll * step];
        }
#pragma unroll
        for (int j = 0; j < 4; j++) out.a[j] = a_row < 0 ? uint4{} : load_stored(p.a, a_row, 32 * block + 8 * j, p.k);
        return out;
    }
};

__device__ __forceinline__ void multiply(const Step& step, Sums16 (&sums)[TILES]) {
#pragma unroll
    for (int i = 0; i < TILES; i++) {
        const ByteTables tables = scaled_tables(e8m0(step.scale[i]));
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i] = mfma_16x16<Bf16s>(step.a[j], from_codes(tables, step.codes[i][j]), sums[i]);
    }
}

// Every WAVES-th step from the wave's own on, two at a time: one is loaded while the other is multiplied.
__device__ __forceinline__ void all_steps(const Streams& streams, Sums16 (&sums)[TILES]) {
    const int blocks = streams.p.k / 32, wave = __builtin_amdgcn_readfirstlane(threadIdx.x / 64);
    const bool plain = __builtin_amdgcn_ballot_w64(streams.a_row < 0) == 0 && streams.p.a_aligned;
    const int whole = plain ? blocks / 4 : 0;
    int at = wave;
    if (at < whole) {
        Step even = streams.load(at);
#pragma unroll 1
        for (; at < whole; at += 2 * WAVES) { // past the end they load the last step again
            const Step odd = streams.load(min(at + WAVES, whole - 1));
            multiply(even, sums);
            even = streams.load(min(at + 2 * WAVES, whole - 1));
            if (at + WAVES >= whole) break;
            multiply(odd, sums);
        }
    }
    const int rest = whole + (wave + WAVES - whole % WAVES) % WAVES;
#pragma unroll 1
    for (int step = rest; 4 * step < blocks; step += WAVES) multiply(streams.load_edge(step), sums);
}

extern "C" __global__ void __launch_bounds__(THREADS) __attribute__((amdgpu_waves_per_eu(4, 4)))
mfma_bf16_mxfp4(const __grid_constant__ GroupedGemmParams p) {
    __shared__ Tile tile;
    __shared__ float parts[WAVES][BLOCK_M * PITCH];
    const int first_column = blockIdx.y * BLOCK_N;
    if (threadIdx.x < 32) {
        const Tile found = find_tile(p, blockIdx.x);
        if (threadIdx.x == 0) tile = found;
        if (blockIdx.x == 0 && blockIdx.y == 0 && p.offsets) check_offsets(p.offsets, p.experts + 1, p.rows, p.status);
    }
    __syncthreads();
    if (tile.expert < 0) return;
    const int expert = tile.expert - p.local_first;
    const bool local = expert >= 0 && expert < p.local_count;
    if (!local && p.top_k) return; // the combine leaves them out

    const int lane = wave_lane();
    Sums16 sums[TILES] = {};
    if (local) all_steps(Streams(p, tile, first_column), sums);
#pragma unroll
    for (int n = 0; n < TILES; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) parts[threadIdx.x / 64][(4 * (lane / 16) + i) * PITCH + 16 * n + lane % 16] = sums[n][i];
    }
    __syncthreads();

    const int row = threadIdx.x / (BLOCK_N / 2), pair = threadIdx.x % (BLOCK_N / 2) * 2;
    float of[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int c = first_column + pair + i;
        float sum = 0.0f;
#pragma unroll
        for (int w = 0; w < WAVES; w++) sum += parts[w][row * PITCH + pair + i];
        of[i] = sum * E2M1_SCALED_UNIT + (local && p.bias.base && c < p.n ? load1(p.bias, expert, weight_row(p, c)) : 0.0f);
    }
    const int r = tile.first + row, c = first_column + pair;
    if (r >= tile.last) return;
    if (p.gated && c < p.n) store1(p.d, r, c / 2, local ? swiglu(p.unit, of[0], of[1]) : 0.0f);
    if (!p.gated && c < p.n) store1(p.d, r, c, of[0]);
    if (!p.gated && c + 1 < p.n) store1(p.d, r, c + 1, of[1]);
}

extern "C" __global__ void __launch_bounds__(THREADS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
