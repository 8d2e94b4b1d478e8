// Many query rows: bound by the tensor cores. A block takes BLOCK_M rows of one sequence (at head_dim 128 half as many, where
// a warp has more than 16) and goes over the keys they see, BLOCK_N at a time: cp.async brings keys and values into a ring of
// STAGES in shared memory while the warps multiply. A warp owns its rows: scores, weights and sums stay in its registers.
// Only tiles at the edge of what rows see are masked.
//
// Roofs of 4096 causal queries, 64 heads of 64 over 8 key heads, on an H200: 137 GFLOP at 790 TFLOP/s are 174 us, 75 MB at
// 4657 GB/s are 16 us.
#pragma once
#include "find_tile.cuh"
#include "ptx/matrix.cuh"
#include "ptx/pairs.cuh"
#include "ring.cuh"

// Tiles of a warp: `prefill_rows` in src/cuda/flash_attn/grid.rs.
template <int DIM> constexpr int TILES_OF = DIM == 64 || BLOCK_M < 32 * WARPS ? BLOCK_M / (16 * WARPS) : BLOCK_M / (32 * WARPS);

// A warp's TILES tiles of 16 rows.
template <class T, int DIM, int TILES> struct Warp {
    unsigned q[TILES][DIM / 16][4];
    float o[TILES][DIM / 8][4] = {};
    float m[TILES][2], l[TILES][2] = {}; // rows lane / 4 and that + 8
    const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;

    // Row n of the sequence's that half `i` of tile `tile` is.
    __device__ __forceinline__ int row(const Tile& t, int tile, int i) const {
        return t.first + int(threadIdx.x / 32) * (16 * TILES) + 16 * tile + 8 * i + g;
    }

    __device__ __forceinline__ Warp(const FlashAttnParams& p, const Tile& t) {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                m[tile][i] = NO_MAX;
                const int n = row(t, tile, i);
                const unsigned short* at = (const unsigned short*)row_address(t, p.q, n < t.last ? n : t.first, DIM);
#pragma unroll
                for (int k = 0; k < DIM / 8; k++) {
                    const unsigned short* two = at + 8 * k + 2 * c;
                    const unsigned word = p.q_aligned ? *(const unsigned*)two : two[0] | unsigned(two[1]) << 16;
                    q[tile][k / 2][i + 2 * (k % 2)] = n < t.last ? word : 0;
                }
            }
        }
    }

    // Scores of BLOCK_N keys: s[tile][n] are those of keys 8 n .. 8 n + 8.
    __device__ __forceinline__ void multiply_keys(unsigned keys, float (&s)[TILES][EIGHTS][4]) const {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int n = 0; n < EIGHTS; n += 2) {
#pragma unroll
            for (int k = 0; k < DIM / 16; k++) {
                const uint4 b = load_matrices(keys + Ring<DIM>::place(8 * n + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) {
                    if (k == 0) {
#pragma unroll
                        for (int i = 0; i < 4; i++) s[tile][n][i] = s[tile][n + 1][i] = 0.0f;
                    }
                    mma_16816(T{}, s[tile][n], q[tile][k], b.x, b.y);
                    mma_16816(T{}, s[tile][n + 1], q[tile][k], b.z, b.w);
                }
            }
        }
    }

    // Keys from `first` on that a row does not see count as nothing.
    __device__ __forceinline__ void mask(const FlashAttnParams& p, const Tile& t, int first, unsigned missing,
                                         float (&s)[TILES][EIGHTS][4]) const {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const Keys seen = visible(p, t.s, row(t, tile, i) / t.group);
                const int low = seen.first - first - 2 * c;
                const unsigned count = seen.last - seen.first;
#pragma unroll
                for (int n = 0; n < EIGHTS; n++) {
                    // No branch here: scores would change registers around it.
                    const unsigned many = missing >> n & 1 ? 0 : count;
#pragma unroll
                    for (int k = 0; k < 2; k++) {
                        float& score = s[tile][n][2 * i + k];
                        score = unsigned(8 * n + k - low) < many ? score : -INFINITY;
                    }
                }
            }
        }
    }

    // Scores to weights 2^(z - m), and their sums.
    __device__ __forceinline__ void soften(const FlashAttnParams& p, float (&s)[TILES][EIGHTS][4]) {
        float high[TILES][2];
        bool raise = false;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float most = fmaxf(s[tile][0][2 * i], s[tile][0][2 * i + 1]);
#pragma unroll
                for (int n = 1; n < EIGHTS; n++) most = fmaxf(most, fmaxf(s[tile][n][2 * i], s[tile][n][2 * i + 1]));
                high[tile][i] = most * p.scale_log2;
                raise |= high[tile][i] > m[tile][i] + SLACK;
            }
        }
        if (__any_sync(ALL_LANES, raise)) {
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float most = high[tile][i];
                    most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 1));
                    most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 2));
                    const float raised = fmaxf(m[tile][i], most), shrink = fast_exp2(m[tile][i] - raised);
                    m[tile][i] = raised;
                    l[tile][i] *= shrink;
#pragma unroll
                    for (int n = 0; n < DIM / 8; n++) o[tile][n][2 * i] *= shrink, o[tile][n][2 * i + 1] *= shrink;
                }
            }
        }
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    s[tile][n][i] = fast_exp2(fmaf(s[tile][n][i], p.scale_log2, -m[tile][i / 2]));
                    l[tile][i / 2] += s[tile][n][i];
                }
            }
        }
    }

    // Adds the weighted values, weights rounded to their type.
    __device__ __forceinline__ void multiply_values(unsigned values, const float (&s)[TILES][EIGHTS][4]) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int k = 0; k < EIGHTS; k += 2) {
            unsigned a[TILES][4];
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    a[tile][i] = pair(T{}, s[tile][k + i / 2][i % 2 * 2], s[tile][k + i / 2][i % 2 * 2 + 1]);
                }
            }
#pragma unroll
            for (int n = 0; n < DIM / 8; n += 2) {
                const uint4 b = load_matrices_transposed(
                    values + Ring<DIM>::place(8 * k + lane / 8 % 2 * 8 + lane % 8, n + lane / 16));
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) {
                    mma_16816(T{}, o[tile][n], a[tile], b.x, b.y);
                    mma_16816(T{}, o[tile][n + 1], a[tile], b.z, b.w);
                }
            }
        }
    }

    __device__ __forceinline__ void store(const FlashAttnParams& p, const Tile& t) {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float sum = l[tile][i];
                sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                sum += __shfl_xor_sync(ALL_LANES, sum, 2);
                const int n = row(t, tile, i);
                if (n >= t.last) continue;
                const int head = t.head(n);
                const float scale = normalizer(p, head, m[tile][i], sum);
                char* at = row_address(t, p.out, n, DIM);
#pragma unroll
                for (int d = 0; d < DIM / 8; d++) {
                    // A row that saw no key is zero, even if a sum is not.
                    const float low = sum == 0.0f ? 0.0f : o[tile][d][2 * i] * scale;
                    const float high = sum == 0.0f ? 0.0f : o[tile][d][2 * i + 1] * scale;
                    store_two(p, at, 8 * d + 2 * c, low, high);
                }
                if (c == 0) store_lse(p, t.row(n), head, m[tile][i], sum);
            }
        }
    }

    static __device__ __forceinline__ void store_two(const FlashAttnParams& p, char* at, int d, float low, float high) {
        if (p.out.dtype == F32) {
            ((float*)at)[d] = low, ((float*)at)[d + 1] = high;
            return;
        }
        const unsigned word = p.out.dtype == BF16 ? pair(MmaBf16{}, low, high) : pair(MmaF16{}, low, high);
        unsigned short* to = (unsigned short*)at + d;
        if (p.out_aligned) *(unsigned*)to = word;
        else to[0] = (unsigned short)word, to[1] = (unsigned short)(word >> 16);
    }
};

// `Mine` is a warp's rows, `Stages` the ring; `x` what those ask for beside the parameters.
template <class Mine, class Stages, int DIM, class X> __device__ __forceinline__ void prefill(const FlashAttnParams& p, const X& x) {
    constexpr int ROWS = TILES_OF<DIM> * 16 * WARPS;
    extern __shared__ __align__(128) unsigned char shared[];
    __shared__ Tile found;
    __shared__ bool any;
    __shared__ __align__(8) unsigned char missing[STAGES * EIGHTS];
    const int warp = threadIdx.x / 32;
    if (warp == WARPS - 1) check_sequences(p);
    if (warp == 0) {
        // The last tiles of a sequence see the most keys: they go first.
        const int index = p.tiles - 1 - int(blockIdx.x) / p.store.heads;
        Tile t;
        const bool there = find_tile<ROWS>(p, index, int(blockIdx.x) % p.store.heads, t);
        if (threadIdx.x == 0) found = t, any = there;
    }
    __syncthreads();
    if (!any) return;
    const Tile t = found;
    Stages ring = {{shared_address(shared), missing, Stages::head_of(p, t)}};
    Mine mine(p, t, x);
    constexpr int TILES = TILES_OF<DIM>;

    const int begin = t.some.first / BLOCK_N;
    const int blocks = t.some.first < t.some.last ? (t.some.last - 1) / BLOCK_N + 1 - begin : 0;
    auto first_of = [&](int block) { return (begin + block) * BLOCK_N; };
    ring.look_up(p, t, first_of(0));
#pragma unroll
    for (int block = 0; block < STAGES - 1; block++) {
        if (block < blocks) ring.copy(p, t, first_of(block), block);
        cp_async_commit();
        ring.look_up(p, t, first_of(block + 1));
    }
    int stage = 0;
    for (int block = 0; block < blocks; block++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads(); // the keys are there for all warps, which are also through with the stage that is filled next
        const int ahead = block + STAGES - 1;
        if (ahead < blocks) ring.copy(p, t, first_of(ahead), stage == 0 ? STAGES - 1 : stage - 1);
        cp_async_commit();
        ring.look_up(p, t, first_of(ahead + 1));

        float s[TILES][EIGHTS][4];
        mine.multiply_keys(ring.keys(stage), s);
        const int first = first_of(block);
        const bool edge = first < t.all.first || first + BLOCK_N > t.all.last;
        const unsigned gone = missing_bits(missing + stage * EIGHTS);
        if (edge || gone) mine.mask(p, t, first, gone, s);
        mine.soften(p, s);
        mine.multiply_values(ring.values(stage), s);
        stage = stage + 1 == STAGES ? 0 : stage + 1;
    }
    mine.store(p, t, x);
}
