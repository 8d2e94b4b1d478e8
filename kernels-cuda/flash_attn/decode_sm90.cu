// Few query rows (decode_one_sm90.cuh where they are of one query), many keys: bound by reading the keys once. A cluster of blocks takes up to ROWS rows of one sequence and key
// head; units of 16 keys are dealt out to its warps in turn, so that which warp takes a key depends on nothing but the
// sequence. Keys and values go straight from global memory to registers, STAGES units ahead; no barrier until a warp is
// through. Then each block sums over its warps, and sends every block of the cluster the elements that it finishes.
//
// Roofs of sequences of 8192 keys, 64 query heads and 8 key heads of 64, on an H200 (4657 GB/s): 3.6 us for one, 29 us for
// eight, 231 us for 64. Around it a launch takes 0.9 us, a first load 0.7 us, and it takes three in a row until the first
// product.
#include "decode_share_sm90.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/overlap.cuh"
#include "ptx/prefetch.cuh"
#include "ptx/stream.cuh"

// The pages of a unit's first and last key, as the table has them.
struct Pages {
    int first, last;
};

template <bool ALIGNED> __device__ __forceinline__ uint4 load(const char* at) {
    if constexpr (ALIGNED) return load_once_128<128>(at);
    else return fetch_16<false>(at);
}

// A warp's way to keys and values.
template <class T, int DIM, int COLS, bool ALIGNED> struct Reader {
    using Warp = DecodeWarp<T, DIM, COLS>;
    using Pieces = typename Warp::Pieces;
    const FlashAttnParams& p;
    const Tile& t;         // in shared memory: most of it is rarely looked at
    const char *k, *v;     // of this lane: its first piece of a key
    const int* pages;      // of the sequence
    const int begin, last; // first key of unit 0, and the key behind the last
    const bool packed;

    __device__ __forceinline__ Reader(const FlashAttnParams& p, const Tile& t)
        : p(p), t(t), begin(t.some.first), last(t.some.last), packed(p.store.layout == PACKED) {
        const KvHead head(p, t.s, t.kv_head);
        k = head.k + 16 * (threadIdx.x % 4), v = head.v + 16 * (threadIdx.x % 32 / 4);
        pages = p.pages + (p.index == BLOCK_TABLE ? t.s.id * p.pages_stride : t.s.k_first);
    }
    __device__ __forceinline__ int units() const { return max(last - begin + 15, 0) / 16; }

    __device__ __forceinline__ Pages look_up(int unit) const {
        const int from = begin + 16 * unit, size = p.page_shift + 3;
        if (packed || unit < 0) return {0, 0};
        return {__ldg(pages + (from >> size)), __ldg(pages + (min(from + 15, last - 1) >> size))};
    }
    __device__ __forceinline__ bool there(int page) const { return packed || unsigned(page) < unsigned(p.page_count); }

    // How many keys from `from` on share its page.
    __device__ __forceinline__ int turn_of(int from) const {
        const int size = 8 << p.page_shift;
        return packed ? 16 : size - (from & (size - 1));
    }

    // Are all keys of a unit in one page, there, and seen by all rows?
    __device__ __forceinline__ bool whole(int unit, const Pages& pages) const {
        const int from = begin + 16 * unit;
        const bool edge = p.max_q_len > 1 && (from < t.all.first || from + 16 > t.all.last);
        return from + 16 <= last && !edge && (packed || (pages.first == pages.last && there(pages.first)));
    }

    __device__ __forceinline__ void fetch_whole(int unit, const Pages& pages, Pieces& x) const {
        const unsigned g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
        const int from = begin + 16 * unit, within = packed ? from : from & ((8 << p.page_shift) - 1);
        const char* k0 = k + (unsigned long long)p.k_token * (within + g);
        const char* v0 = v + (unsigned long long)p.v_token * (within + 2 * c);
        if (!packed) k0 += pages.first * p.k_page, v0 += pages.first * p.v_page;
        const char *k1 = k0 + 8ull * p.k_token, *v1 = v0 + p.v_token, *v2 = v0 + 8ull * p.v_token, *v3 = v2 + p.v_token;
#pragma unroll
        for (int n = 0; n < Warp::CHUNKS; n++) x.k[0][n] = load<ALIGNED>(k0 + 64 * n), x.k[1][n] = load<ALIGNED>(k1 + 64 * n);
#pragma unroll
        for (int n = 0; n < Warp::PIECES; n++) {
            x.v[0][n] = load<ALIGNED>(v0 + 128 * n), x.v[1][n] = load<ALIGNED>(v1 + 128 * n);
            x.v[2][n] = load<ALIGNED>(v2 + 128 * n), x.v[3][n] = load<ALIGNED>(v3 + 128 * n);
        }
    }

    // Any unit. Behind the last key it is read again; for pages that are not there page 0 is.
    __device__ __forceinline__ void fetch(int unit, const Pages& pages, Pieces& x) const {
        const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
        const int from = begin + 16 * unit, most = last - 1 - from, turn = turn_of(from);
        const long long first = there(pages.first) ? pages.first : 0, next = there(pages.last) ? pages.last : 0;
        const int within = packed ? from : (8 << p.page_shift) - turn;
        const long long k0 = first * p.k_page + (long long)p.k_token * within, k1 = next * p.k_page - (long long)p.k_token * turn;
        const long long v0 = first * p.v_page + (long long)p.v_token * within, v1 = next * p.v_page - (long long)p.v_token * turn;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = min(g + 8 * half, most);
            const char* at = k + ((i < turn ? k0 : k1) + (unsigned long long)p.k_token * unsigned(i));
#pragma unroll
            for (int n = 0; n < Warp::CHUNKS; n++) x.k[half][n] = load<ALIGNED>(at + 64 * n);
        }
#pragma unroll
        for (int half = 0; half < 4; half++) {
            const int i = min(2 * c + (half & 1) + 8 * (half >> 1), most);
            const char* at = v + ((i < turn ? v0 : v1) + (unsigned long long)p.v_token * unsigned(i));
#pragma unroll
            for (int n = 0; n < Warp::PIECES; n++) x.v[half][n] = load<ALIGNED>(at + 128 * n);
        }
    }

    // Keys that are not there or not seen count as nothing.
    __device__ __forceinline__ void mask(int unit, const Pages& pages, int col, const Warp& mine, float (&s)[4]) const {
        const int from = begin + 16 * unit, turn = turn_of(from);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int r = mine.g() + 8 * (i >> 1), n = min(t.first + 8 * col + 2 * mine.c() + (i & 1), t.last - 1);
            const Keys seen = visible(p, t.s, t.query(n));
            if (from + r < seen.first || from + r >= seen.last || !there(r < turn ? pages.first : pages.last)) s[i] = -INFINITY;
        }
    }

    // Weights are zero where a page is not, which would not stop a NaN.
    __device__ __forceinline__ void clear(int unit, const Pages& pages, Pieces& x) const {
        const int c = threadIdx.x % 4, turn = turn_of(begin + 16 * unit);
        if (there(pages.first) && there(pages.last)) return;
        report(p.status, FAULT_PAGE);
#pragma unroll
        for (int half = 0; half < 4; half++) {
            if (there(2 * c + (half & 1) + 8 * (half >> 1) < turn ? pages.first : pages.last)) continue;
#pragma unroll
            for (int n = 0; n < Warp::PIECES; n++) x.v[half][n] = {};
        }
    }
};

// Units u .. u + UNITS of a warp. EDGE: some keys of theirs may not be there or not seen. Two bodies of code instead of
// branches around loads, which would keep the loads of one unit from flying beside those of another.
template <bool EDGE, int UNITS, class Reader, class Warp>
__device__ __forceinline__ void take(const FlashAttnParams& p, const Reader& reader, int u, int end, const Pages (&pages)[UNITS],
                                     Pages (&next)[UNITS], int ahead, Warp& mine) {
    typename Warp::Pieces x[UNITS];
#pragma unroll
    for (int i = 0; i < UNITS; i++) {
        if constexpr (EDGE) reader.fetch(min(u + i, end), pages[i], x[i]);
        else reader.fetch_whole(u + i, pages[i], x[i]);
    }
#pragma unroll
    for (int i = 0; i < UNITS; i++) next[i] = reader.look_up(min(ahead + i, end));
#pragma unroll
    for (int col = 0; col < Warp::COLUMNS; col++) {
        float s[UNITS][4] = {}, high[2] = {-INFINITY, -INFINITY};
#pragma unroll
        for (int i = 0; i < UNITS; i++) mine.multiply_keys(x[i], col, s[i]);
#pragma unroll
        for (int i = 0; i < UNITS; i++) {
            if constexpr (EDGE) {
                if (col == 0) reader.clear(min(u + i, end), pages[i], x[i]);
                reader.mask(u + i, pages[i], col, mine, s[i]);
            }
            mine.high(s[i], high);
        }
        mine.raise(p, col, high);
#pragma unroll
        for (int i = 0; i < UNITS; i++) mine.soften(p, col, s[i]), mine.multiply_values(x[i], col, s[i]);
    }
}

// The units of a warp: those of its turn, UNITS neighbours at a time.
template <bool ALIGNED, class T, int DIM, int COLS>
__device__ __forceinline__ void attend(const FlashAttnParams& p, const Tile& t, int first, int step,
                                       DecodeWarp<T, DIM, COLS>& mine) {
    constexpr int UNITS = DIM * COLS > 128 ? 1 : STAGES; // as registers allow
    const Reader<T, DIM, COLS, ALIGNED> reader(p, t);
    const int units = reader.units(), end = units - 1; // behind the last unit it is taken again, and masked
    Pages pages[UNITS], next[UNITS];
#pragma unroll
    for (int i = 0; i < UNITS; i++) next[i] = reader.look_up(min(UNITS * first + i, end));
    if (UNITS * first < units) mine.load(p, t);
    for (int u = UNITS * first; u < units; u += UNITS * step) {
        bool whole = true;
#pragma unroll
        for (int i = 0; i < UNITS; i++) pages[i] = next[i], whole = whole && reader.whole(u + i, pages[i]);
        if (whole) take<false, UNITS>(p, reader, u, end, pages, next, u + UNITS * step, mine);
        else take<true, UNITS>(p, reader, u, end, pages, next, u + UNITS * step, mine);
    }
}

template <int DIM>
__device__ __forceinline__ void finish(const FlashAttnParams& p, const Tile& t, int row, int d, float m, float l, float o,
                                       float sink) {
    const int n = t.first + row;
    if (n >= t.last) return;
    const int head = t.head(n);
    // l = 0: no visible key, or only scores of -infinity.
    store1(p.out, t.row(n), (long long)head * DIM + d, l == 0.0f ? 0.0f : o / (l + exp2f(sink * LOG2_E - m)));
    if (d == 0) store_lse(p, t.row(n), head, m, l);
}

template <class T, int DIM, int ROWS> __device__ __forceinline__ void decode(const FlashAttnParams& p) {
    constexpr int COLS = ROWS / 8;
    using Warp = DecodeWarp<T, DIM, COLS>;
    extern __shared__ __align__(16) unsigned char shared[];
    __shared__ float sinks[ROWS];
    const int splits = gridDim.x, rank = blockIdx.x, warp = threadIdx.x / 32;
    if (splits > 1) cluster_arrive_relaxed(); // "I run": waited for before the first store to another block
    wait_for_predecessor();
    int s = blockIdx.z, tile = 0;
    if (p.tiles > 1) tile = s % p.tiles, s /= p.tiles;
    if (s == p.sequences) { // there to look for faults
        if (rank == 0 && blockIdx.y == 0) check_by_warps(p);
        return;
    }
    Tile found;
    found.s = sequence(p, s, nullptr);
    found.kv_head = blockIdx.y, found.group = p.group;
    const int rows = found.s.q_len * found.group;
    found.first = min(tile * ROWS, rows), found.last = min(found.first + ROWS, rows);
    if (found.first == found.last) return;
    found.see(p);
    // Each warp's own, so that none waits for another.
    __shared__ Tile tiles[WARPS];
    if (threadIdx.x % 32 == 0) tiles[warp] = found;
    __syncwarp();
    const Tile& t = tiles[warp];

    const int sink_row = threadIdx.x;
    auto sink_head = [&] { return t.head(min(t.first + sink_row, t.last - 1)); };
    if (p.sinks.base && sink_row < ROWS) prefetch_to_l1(address(p.sinks, 0, sink_head())); // no register until it is needed
    Warp mine;
    if (p.kv_aligned) attend<true>(p, t, warp * splits + rank, WARPS * splits, mine);
    else attend<false>(p, t, warp * splits + rank, WARPS * splits, mine);
    if (sink_row < ROWS) sinks[sink_row] = p.sinks.base ? sink_of(p, sink_head()) : -INFINITY;
    allow_successor();

    const Shared<DIM, COLS> at(shared);
    put_together(at, mine, [&](int row, int d, float m, float l, float o) { finish<DIM>(p, t, row, d, m, l, o, sinks[row]); });
}

#define DECODE(NAME, T, DIM, ROWS)                                                                                     \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS_##DIM##_##ROWS) NAME(                              \
        const __grid_constant__ FlashAttnParams p) {                                                                   \
        decode<T, DIM, ROWS>(p);                                                                                       \
    }
// Blocks a multiprocessor that registers are cut for.
#define BLOCKS_64_8 (16 / WARPS)
#define BLOCKS_64_16 (8 / WARPS)
#define BLOCKS_128_8 (8 / WARPS)
#define BLOCKS_128_16 (8 / WARPS)

DECODE(decode_bf16_64_8, MmaBf16, 64, 8)
DECODE(decode_f16_64_8, MmaF16, 64, 8)
DECODE(decode_bf16_64_16, MmaBf16, 64, 16)
DECODE(decode_bf16_128_8, MmaBf16, 128, 8)
DECODE(decode_bf16_128_16, MmaBf16, 128, 16)
DECODE(decode_f16_64_16, MmaF16, 64, 16)
DECODE(decode_f16_128_8, MmaF16, 128, 8)
DECODE(decode_f16_128_16, MmaF16, 128, 16)
