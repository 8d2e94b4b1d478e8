// Few query rows, many keys: bound by reading the keys once. A block takes a share (split) of one sequence's keys for up to
// 16 rows; its warps take 16 keys at a time, straight from global memory into registers. No shared memory, no barrier until a
// warp is through.
//
// Roofs of 64 sequences of 8192 keys, same heads as in prefill_sm80.cu, on an H200: 1.07 GB at 4657 GB/s are 231 us, 9 GFLOP
// at 790 TFLOP/s are 11 us.
#include "decode_warp.cuh"
#include "splits.cuh"

// A warp's way to keys and values: by eights, each of a page of its own.
template <class T, int DIM, int COLS> struct Reader {
    using Warp = DecodeWarp<T, DIM, COLS>;
    using Pieces = typename Warp::Pieces;
    const FlashAttnParams& p;
    const Tile& t;
    const KvHead& kv;

    // Keys least .. most of two eights, each lane its pieces of them.
    template <bool ALIGNED>
    __device__ __forceinline__ void fetch(const Eight& first, const Eight& second, int least, int most, Pieces& x) const {
        const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = min(max(g + 8 * half, least), most);
            const char* at = (i < 8 ? first.k : second.k) + (unsigned long long)p.k_token * (i & 7) + 16 * c;
#pragma unroll
            for (int n = 0; n < Warp::CHUNKS; n++) x.k[half][n] = fetch_16<ALIGNED>(at + 64 * n);
        }
#pragma unroll
        for (int row = 0; row < 4; row++) {
            const int i = min(max(2 * c + (row & 1) + 8 * (row >> 1), least), most);
            const char* at = (i < 8 ? first.v : second.v) + (unsigned long long)p.v_token * (i & 7) + 16 * g;
#pragma unroll
            for (int n = 0; n < Warp::PIECES; n++) x.v[row][n] = fetch_16<ALIGNED>(at + 128 * n);
        }
    }

    // Keys 16 u .. 16 u + 16, of pages low and high (-1: not there).
    __device__ __forceinline__ void take(int u, int low, int high, Warp& mine) const {
        if (low < 0 && high < 0) return;
        Pieces x;
        const Eight first = kv.eight(p, low < 0 ? high : low, low < 0 ? 2 * u + 1 : 2 * u);
        const Eight second = kv.eight(p, high < 0 ? low : high, high < 0 ? 2 * u : 2 * u + 1);
        // What no row sees is not read: a neighbour is, and counts as nothing.
        const int least = max(t.some.first - 16 * u, 0), most = min(t.some.last - 1 - 16 * u, 15);
        if (p.kv_aligned) fetch<true>(first, second, least, most, x);
        else fetch<false>(first, second, least, most, x);
        // Weights there are zero, which would not stop a NaN.
        if (low < 0) clear(x.v[0]), clear(x.v[1]);
        if (high < 0) clear(x.v[2]), clear(x.v[3]);
        const bool whole = low >= 0 && high >= 0;
        const bool masked = !whole || 16 * u < t.all.first || 16 * u + 16 > t.all.last;
#pragma unroll
        for (int col = 0; col < COLS; col++) {
            float s[4] = {};
            mine.multiply_keys(x, col, s);
            if (masked) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int n = t.first + 8 * col + 2 * mine.c() + (i & 1), j = 16 * u + mine.g() + 8 * (i >> 1);
                    const Keys seen = visible(p, t.s, t.query(n));
                    if (j < seen.first || j >= seen.last || (i < 2 ? low : high) < 0) s[i] = -INFINITY;
                }
            }
            float high[2] = {-INFINITY, -INFINITY};
            mine.high(s, high);
            mine.raise(p, col, high);
            mine.soften(p, col, s);
            mine.multiply_values(x, col, s);
        }
    }

    static __device__ __forceinline__ void clear(uint4 (&pieces)[Warp::PIECES]) {
#pragma unroll
        for (int n = 0; n < Warp::PIECES; n++) pieces[n] = {};
    }
};

template <class T, int DIM, int ROWS> __device__ __forceinline__ void decode(const FlashAttnParams& p) {
    constexpr int COLS = ROWS / 8;
    using Warp = DecodeWarp<T, DIM, COLS>;
    __shared__ __align__(16) float o_of[WARPS][8 * DIM];
    __shared__ float2 ml_of[WARPS][8];
    const int warp = threadIdx.x / 32;
    const Place at(p, blockIdx.x, p.splits);
    if (blockIdx.x == 0 && warp == WARPS - 1) check_all_offsets(p);
    if (at.s >= p.sequences) return; // none at all
    const bool reports = warp == 0 && at.kv_head == 0 && at.split == 0 && at.tile == 0;
    Tile t = tile_at(p, at, ROWS, reports ? p.status : nullptr);
    if (t.first == t.last) return;
    t.see(p);
    const KvHead kv(p, t.s, t.kv_head);
    const Reader<T, DIM, COLS> reader = {p, t, kv};
    Warp mine;
    mine.load(p, t);
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
        reader.take(u, low, high, mine);
        u = next, low = next_low, high = next_high;
    }

    float* partial = p.splits > 1 ? partial_of<DIM, ROWS>(p, at, at.split) : nullptr;
#pragma unroll
    for (int col = 0; col < COLS; col++) {
        mine.leave(col, o_of[warp], ml_of[warp]);
        __syncthreads();
        for (int e = threadIdx.x; e < 8 * DIM; e += 32 * WARPS) {
            const int row = e / DIM, d = e % DIM, n = t.first + 8 * col + row;
            float m = ml_of[0][row].x, l = 0.0f, o = 0.0f;
#pragma unroll
            for (int w = 1; w < WARPS; w++) m = fmaxf(m, ml_of[w][row].x);
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                const float shrink = fast_exp2(ml_of[w][row].x - m);
                l += ml_of[w][row].y * shrink;
                o += o_of[w][Warp::place(row, d)] * shrink;
            }
            if (n < t.last) leave<DIM, ROWS>(p, t, partial, 8 * col + row, d, m, l, o);
        }
        if (col + 1 < COLS) __syncthreads();
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
