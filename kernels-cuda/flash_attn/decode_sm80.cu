// Few query rows, many keys: bound by reading the keys once. A block takes a share (split) of one sequence's keys for up to
// 16 rows; its warps take 16 keys at a time, straight from global memory into registers: S^T = K Q^T and O^T = V^T P^T, so
// that keys are the rows of the tensor core's tile and query rows its columns. The elements of a head are permuted for the
// products so that every load is 16 bytes; sums do not mind. No shared memory, no barrier until a warp is through.
//
// Roofs of 64 sequences of 8192 keys, same heads as in prefill_sm80.cu, on an H200: 1.07 GB at 4657 GB/s are 231 us, 9 GFLOP
// at 790 TFLOP/s are 11 us.
#include "ptx/matrix.cuh"
#include "ptx/pairs.cuh"
#include "tile.cuh"

// A block's place: key heads vary fastest, since those of a token lie side by side.
struct Place {
    int s, tile, split, kv_head;

    __device__ __forceinline__ Place(const FlashAttnParams& p, int block, int splits) {
        kv_head = block % p.store.heads, block /= p.store.heads;
        split = block % splits, block /= splits;
        tile = block % p.tiles, s = block / p.tiles;
    }
};

__device__ __forceinline__ Tile tile_at(const FlashAttnParams& p, const Place& at, int rows, unsigned* status) {
    Tile t;
    t.s = sequence(p, at.s, status);
    t.kv_head = at.kv_head;
    t.group = p.q_heads / p.store.heads;
    t.first = int(min((long long)at.tile * rows, (long long)t.s.q_len * t.group));
    t.last = int(min((long long)t.first + rows, (long long)t.s.q_len * t.group));
    return t;
}

// What a split leaves: o [ROWS, DIM], then m and l of each row.
template <int DIM, int ROWS>
__device__ __forceinline__ float* partial_of(const FlashAttnParams& p, const Place& at, int split) {
    const long long item = ((long long)at.s * p.tiles + at.tile) * p.store.heads + at.kv_head;
    return p.partial + (item * p.splits + split) * (ROWS * (DIM + 2));
}

// The state of a warp: COLS tiles of 8 rows n.
template <class T, int DIM, int COLS> struct Warp {
    static constexpr int CHUNKS = DIM / 32; // a lane's 16-byte pieces of a key
    static constexpr int PIECES = DIM / 64; // and of a value
    uint4 q[COLS][CHUNKS];
    float o[COLS][DIM / 16][4] = {};
    float m[COLS][2], l[COLS][2] = {}; // rows 2 (lane % 4) and the next
    const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;

    __device__ __forceinline__ Warp(const FlashAttnParams& p, const Tile& t) {
#pragma unroll
        for (int col = 0; col < COLS; col++) {
            const int n = t.first + 8 * col + g;
#pragma unroll
            for (int i = 0; i < CHUNKS; i++) {
                const char* at = row_address(t, p.q, n < t.last ? n : t.first, DIM) + 64 * i + 16 * c;
                q[col][i] = n >= t.last ? uint4{} : p.q_aligned ? fetch_16<true>(at) : fetch_16<false>(at);
            }
            m[col][0] = m[col][1] = NO_MAX;
        }
    }

    // Keys least .. most of two eights, each lane its pieces of them.
    template <bool ALIGNED>
    __device__ __forceinline__ void fetch(const FlashAttnParams& p, const Eight& first, const Eight& second, int least,
                                          int most, uint4 (&k)[2][CHUNKS], uint4 (&v)[4][PIECES]) const {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = min(max(g + 8 * half, least), most);
            const char* at = (i < 8 ? first.k : second.k) + (unsigned long long)p.k_token * (i & 7) + 16 * c;
#pragma unroll
            for (int n = 0; n < CHUNKS; n++) k[half][n] = fetch_16<ALIGNED>(at + 64 * n);
        }
#pragma unroll
        for (int row = 0; row < 4; row++) {
            const int i = min(max(2 * c + (row & 1) + 8 * (row >> 1), least), most);
            const char* at = (i < 8 ? first.v : second.v) + (unsigned long long)p.v_token * (i & 7) + 16 * g;
#pragma unroll
            for (int n = 0; n < PIECES; n++) v[row][n] = fetch_16<ALIGNED>(at + 128 * n);
        }
    }

    // Keys 16 u .. 16 u + 16, of pages low and high (-1: not there).
    __device__ __forceinline__ void take(const FlashAttnParams& p, const Tile& t, const KvHead& kv, int u, int low,
                                         int high) {
        if (low < 0 && high < 0) return;
        uint4 k[2][CHUNKS], v[4][PIECES];
        const Eight first = kv.eight(p, low < 0 ? high : low, low < 0 ? 2 * u + 1 : 2 * u);
        const Eight second = kv.eight(p, high < 0 ? low : high, high < 0 ? 2 * u : 2 * u + 1);
        // What no row sees is not read: a neighbour is, and counts as nothing.
        const int least = max(t.some.first - 16 * u, 0), most = min(t.some.last - 1 - 16 * u, 15);
        if (p.kv_aligned) fetch<true>(p, first, second, least, most, k, v);
        else fetch<false>(p, first, second, least, most, k, v);
        // Weights there are zero, which would not stop a NaN.
        if (low < 0) clear(v[0]), clear(v[1]);
        if (high < 0) clear(v[2]), clear(v[3]);
        const bool whole = low >= 0 && high >= 0;
        const bool masked = !whole || 16 * u < t.all.first || 16 * u + 16 > t.all.last;
#pragma unroll
        for (int col = 0; col < COLS; col++) {
            float s[4] = {};
#pragma unroll
            for (int n = 0; n < CHUNKS; n++) {
                const unsigned a0[4] = {k[0][n].x, k[1][n].x, k[0][n].y, k[1][n].y};
                const unsigned a1[4] = {k[0][n].z, k[1][n].z, k[0][n].w, k[1][n].w};
                mma_16816(T{}, s, a0, q[col][n].x, q[col][n].y);
                mma_16816(T{}, s, a1, q[col][n].z, q[col][n].w);
            }
            if (masked) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int n = t.first + 8 * col + 2 * c + (i & 1), j = 16 * u + g + 8 * (i >> 1);
                    const Keys seen = visible(p, t.s, n / t.group);
                    if (j < seen.first || j >= seen.last || (i < 2 ? low : high) < 0) s[i] = -INFINITY;
                }
            }
            soften(p, col, s);
            const unsigned p0 = transpose_matrix(pair(T{}, s[0], s[1])), p1 = transpose_matrix(pair(T{}, s[2], s[3]));
#pragma unroll
            for (int n = 0; n < PIECES; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const unsigned w[4] = {word(v[0][n], i), word(v[1][n], i), word(v[2][n], i), word(v[3][n], i)};
                    const unsigned a[4] = {__byte_perm(w[0], w[1], 0x5410), __byte_perm(w[0], w[1], 0x7632),
                                           __byte_perm(w[2], w[3], 0x5410), __byte_perm(w[2], w[3], 0x7632)};
                    mma_16816(T{}, o[col][4 * n + i], a, p0, p1);
                }
            }
        }
    }

    static __device__ __forceinline__ void clear(uint4 (&pieces)[PIECES]) {
#pragma unroll
        for (int n = 0; n < PIECES; n++) pieces[n] = {};
    }

    static __device__ __forceinline__ unsigned word(const uint4& w, int i) {
        return i == 0 ? w.x : i == 1 ? w.y : i == 2 ? w.z : w.w;
    }

    // Scores to weights 2^(z - m), and their sum.
    __device__ __forceinline__ void soften(const FlashAttnParams& p, int col, float (&s)[4]) {
        float high[2] = {fmaxf(s[0], s[2]) * p.scale_log2, fmaxf(s[1], s[3]) * p.scale_log2};
        if (__any_sync(ALL_LANES, high[0] > m[col][0] + SLACK || high[1] > m[col][1] + SLACK)) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
#pragma unroll
                for (int step = 4; step < 32; step *= 2) {
                    high[i] = fmaxf(high[i], __shfl_xor_sync(ALL_LANES, high[i], step));
                }
                const float raised = fmaxf(m[col][i], high[i]), shrink = fast_exp2(m[col][i] - raised);
                m[col][i] = raised;
                l[col][i] *= shrink;
#pragma unroll
                for (int n = 0; n < DIM / 16; n++) o[col][n][i] *= shrink, o[col][n][2 + i] *= shrink;
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) s[i] = fast_exp2(fmaf(s[i], p.scale_log2, -m[col][i & 1]));
        l[col][0] += s[0] + s[2];
        l[col][1] += s[1] + s[3];
    }
};

template <class T, int DIM, int ROWS> __device__ __forceinline__ void decode(const FlashAttnParams& p) {
    constexpr int COLS = ROWS / 8;
    __shared__ float o_of[WARPS][8][DIM], m_of[WARPS][8], l_of[WARPS][8];
    const int warp = threadIdx.x / 32;
    const Place at(p, blockIdx.x, p.splits);
    if (blockIdx.x == 0 && warp == WARPS - 1) check_all_offsets(p);
    if (at.s >= p.sequences) return; // none at all
    const bool reports = warp == 0 && at.kv_head == 0 && at.split == 0 && at.tile == 0;
    Tile t = tile_at(p, at, ROWS, reports ? p.status : nullptr);
    if (t.first == t.last) return;
    t.see(p);
    const KvHead kv(p, t.s, t.kv_head);
    Warp<T, DIM, COLS> mine(p, t);
    // This split's share of the units of 16 keys, dealt out to the warps.
    const int begin = t.some.first / 16, units = (t.some.last - begin * 16 + 15) / 16;
    const int share = t.some.first < t.some.last ? (units + p.splits - 1) / p.splits : 0;
    const int end = begin + min(units, share * (at.split + 1));
    auto page = [&](int n) { return 8 * n + 8 <= t.some.first || 8 * n >= t.some.last ? -1 : kv.page(p, t.s, n); };
    int u = begin + share * at.split + warp;
    int low = u < end ? page(2 * u) : -1, high = u < end ? page(2 * u + 1) : -1;
    while (u < end) {
        const int next = u + WARPS;
        const int next_low = next < end ? page(2 * next) : -1, next_high = next < end ? page(2 * next + 1) : -1;
        mine.take(p, t, kv, u, low, high);
        u = next, low = next_low, high = next_high;
    }

    float* partial = p.splits > 1 ? partial_of<DIM, ROWS>(p, at, at.split) : nullptr;
#pragma unroll
    for (int col = 0; col < COLS; col++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
#pragma unroll
            for (int step = 4; step < 32; step *= 2) {
                mine.l[col][i] += __shfl_xor_sync(ALL_LANES, mine.l[col][i], step);
            }
            const int row = 2 * mine.c + i;
            if (mine.g == 0) m_of[warp][row] = mine.m[col][i], l_of[warp][row] = mine.l[col][i];
#pragma unroll
            for (int n = 0; n < DIM / 16; n++) { // elements 8 g + 2 (n % 4) and the next of the n / 4th 64
                float* to = &o_of[warp][row][n / 4 * 64 + 8 * mine.g + n % 4 * 2];
                *(float2*)to = make_float2(mine.o[col][n][i], mine.o[col][n][2 + i]);
            }
        }
        __syncthreads();
        for (int e = threadIdx.x; e < 8 * DIM; e += 32 * WARPS) {
            const int row = e / DIM, d = e % DIM, n = t.first + 8 * col + row;
            float m = m_of[0][row], l = 0.0f, o = 0.0f;
#pragma unroll
            for (int w = 1; w < WARPS; w++) m = fmaxf(m, m_of[w][row]);
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                const float shrink = fast_exp2(m_of[w][row] - m);
                l += l_of[w][row] * shrink;
                o += o_of[w][row][d] * shrink;
            }
            if (n >= t.last) continue;
            if (partial) {
                partial[(8 * col + row) * DIM + d] = o;
                if (d == 0) *(float2*)&partial[ROWS * DIM + 2 * (8 * col + row)] = make_float2(m, l);
            } else {
                const int head = t.head(n);
                store1(p.out, t.row(n), (long long)head * DIM + d, l == 0.0f ? 0.0f : o * normalizer(p, head, m, l));
                if (d == 0) store_lse(p, t.row(n), head, m, l);
            }
        }
        if (col + 1 < COLS) __syncthreads();
    }
}

// Splits put together, one block a tile of rows.
template <int DIM, int ROWS> __device__ __forceinline__ void combine(const FlashAttnParams& p) {
    const Place at(p, blockIdx.x, 1);
    const Tile t = tile_at(p, at, ROWS, nullptr);
    for (int e = threadIdx.x; e < ROWS * DIM; e += 32 * WARPS) {
        const int row = e / DIM, d = e % DIM, n = t.first + row;
        if (n >= t.last) continue;
        const float* partial = partial_of<DIM, ROWS>(p, at, 0);
        float m = NO_MAX, l = 0.0f, o = 0.0f;
        for (int split = 0; split < p.splits; split++) m = fmaxf(m, partial[split * ROWS * (DIM + 2) + ROWS * DIM + 2 * row]);
#pragma unroll 4
        for (int split = 0; split < p.splits; split++) {
            const float* from = partial + split * ROWS * (DIM + 2);
            const float shrink = fast_exp2(from[ROWS * DIM + 2 * row] - m);
            l += from[ROWS * DIM + 2 * row + 1] * shrink;
            o += from[row * DIM + d] * shrink;
        }
        const int head = t.head(n);
        store1(p.out, t.row(n), (long long)head * DIM + d, l == 0.0f ? 0.0f : o * normalizer(p, head, m, l));
        if (d == 0) store_lse(p, t.row(n), head, m, l);
    }
}

#define DECODE(NAME, T, DIM, ROWS)                                                                                     \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS_##DIM##_##ROWS) NAME(                              \
        const __grid_constant__ FlashAttnParams p) {                                                                   \
        decode<T, DIM, ROWS>(p);                                                                                       \
    }
#define COMBINE(NAME, DIM, ROWS)                                                                                       \
    extern "C" __global__ void __launch_bounds__(32 * WARPS) NAME(const __grid_constant__ FlashAttnParams p) {         \
        combine<DIM, ROWS>(p);                                                                                         \
    }
// Blocks a multiprocessor that registers are cut for.
#define BLOCKS_64_8 2
#define BLOCKS_64_16 1
#define BLOCKS_128_8 1
#define BLOCKS_128_16 1

DECODE(decode_bf16_64_8, MmaBf16, 64, 8)
DECODE(decode_bf16_64_16, MmaBf16, 64, 16)
DECODE(decode_bf16_128_8, MmaBf16, 128, 8)
DECODE(decode_bf16_128_16, MmaBf16, 128, 16)
DECODE(decode_f16_64_8, MmaF16, 64, 8)
DECODE(decode_f16_64_16, MmaF16, 64, 16)
DECODE(decode_f16_128_8, MmaF16, 128, 8)
DECODE(decode_f16_128_16, MmaF16, 128, 16)
COMBINE(combine_64_8, 64, 8)
COMBINE(combine_64_16, 64, 16)
COMBINE(combine_128_8, 128, 8)
COMBINE(combine_128_16, 128, 16)
