// Few query rows, many keys: bound by reading the keys once. A block takes a share (split) of one sequence's keys for up to BLOCK_M
// rows; its waves take BLOCK_N keys at a time, straight from global memory into registers. No barrier until a wave is through.
// S^T = K Q^T and O^T = V^T P^T, so that the scores a lane gets are, rounded, its operand of the second product.
//
// Roofs of 64 sequences of 8192 keys, 64 heads of 64 over 8 key heads, on an MI300X: 1.07 GB at 5.3 TB/s are 203 us, 9 GFLOP at
// 1307 TFLOP/s are 7 us. No such device was at hand.
#include "../../kernels-cuda/flash_attn/splits.cuh"
#include "eights.h"
#include "gcn/mfma.h"
#include "scalar.h"

constexpr int WAVES = WARPS / 2, EIGHTS = BLOCK_N / 8;
static_assert(BLOCK_M == 16 && BLOCK_N == 32, "two tiles of scores are eight weights a lane");

// A wave's 16 rows, one a lane and the three that are 16 lanes on.
template <class Elements, int DIM> struct Rows16 {
    static constexpr int CHUNKS = DIM / 32, EACH = DIM / 16; // elements of a value a lane
    struct Value {
        unsigned pairs[EACH / 2];
    };
    // Of BLOCK_N keys: of keys l % 16 and 16 more bytes 16 * (l / 16) .. of every 64; of values 4 * (l / 16) to the third behind it,
    // and 16 more, elements EACH * (l % 16) ..
    struct Pieces {
        uint4 k[2][CHUNKS];
        Value v[2][4];
    };
    uint4 q[CHUNKS];
    Sums16 o[EACH] = {}; // o[e][i] is element EACH * (4 * (l / 16) + i) + e
    float m = NO_MAX, l = 0.0f;
    Keys sees;

    static __device__ __forceinline__ int row() { return wave_lane() % 16; }
    static __device__ __forceinline__ int group() { return wave_lane() / 16; }

    __device__ __forceinline__ Rows16(const FlashAttnParams& p, const Tile& t) {
        const int n = min(t.first + row(), t.last - 1);
        sees = visible(p, t.s, t.query(n));
        const char* at = row_address(t, p.q, n, DIM) + 16 * group();
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) q[c] = p.q_aligned ? fetch_16<true>(at + 64 * c) : fetch_16<false>(at + 64 * c);
    }

    // Keys from `first` on. What no row sees is not read, nor what is not in the cache; `other` is, which has to be readable.
    template <bool ALIGNED>
    static __device__ __forceinline__ void fetch(const FlashAttnParams& p, const Tile& t, const Eights& eights, int first,
                                                 const char* other, Pieces& x) {
        const unsigned gone = eights.missing();
        const auto seen = [&](int key) {
            return first + key >= t.some.first && first + key < t.some.last && !(gone >> key / 8 & 1);
        };
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int key = 16 * j + row();
            const char* at = from_lane(eights.at.k, key / 8) + ((unsigned long long)p.k_token * (key & 7) + 16 * group());
            at = seen(key) ? at : other;
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) x.k[j][c] = fetch_global<ALIGNED>(seen(key) ? at + 64 * c : other);
        }
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int key = 16 * j + 4 * group();
            const char* at = from_lane(eights.at.v, key / 8) + ((unsigned long long)p.v_token * (key & 7) + 2 * EACH * row());
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const char* from = seen(key + i) ? at + (unsigned long long)p.v_token * i : other;
                x.v[j][i] = fetch_global<ALIGNED, Value>(from);
            }
        }
        // Weights there are zero, which would not stop a NaN.
        if (gone || first < t.some.first || first + BLOCK_N > t.some.last) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                if (!seen(16 * (i / 4) + 4 * group() + i % 4)) x.v[i / 4][i % 4] = {};
            }
        }
    }

    // Scores: s[j][i] is key 16 j + 4 * group + i.
    __device__ __forceinline__ void multiply_keys(const Pieces& x, Sums16 (&s)[2]) const {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
            for (int j = 0; j < 2; j++) s[j] = mfma_16x16<Elements>(x.k[j][c], q[c], s[j]);
        }
    }

    // Keys from `first` on that the row does not see count as nothing; of eights whose bit is set, no row sees any.
    __device__ __forceinline__ void mask(int first, unsigned missing, Sums16 (&s)[2]) const {
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int key = 16 * j + 4 * group();
            const unsigned many = missing >> key / 8 & 1 ? 0 : sees.last - sees.first;
#pragma unroll
            for (int i = 0; i < 4; i++) s[j][i] = unsigned(first + key + i - sees.first) < many ? s[j][i] : -INFINITY;
        }
    }

    // Scores to weights 2^(z - m), and their sum.
    __device__ __forceinline__ void soften(float scale, Sums16 (&s)[2]) {
        float high = s[0][0];
#pragma unroll
        for (int i = 1; i < 8; i++) high = fmaxf(high, s[i / 4][i % 4]);
        high *= scale;
        if (__builtin_amdgcn_ballot_w64(high > m + SLACK)) {
#pragma unroll
            for (int step = 16; step < 64; step *= 2) high = fmaxf(high, from_lane(high, wave_lane() ^ step));
            const float raised = fmaxf(m, high), shrink = fast_exp2(m - raised);
            m = raised;
            l *= shrink;
#pragma unroll
            for (int e = 0; e < EACH; e++) o[e] *= shrink;
        }
#pragma unroll
        for (int i = 0; i < 8; i++) {
            s[i / 4][i % 4] = fast_exp2(s[i / 4][i % 4] * scale - m);
            l += s[i / 4][i % 4];
        }
    }

    // Adds the weighted values, weights rounded to their type.
    __device__ __forceinline__ void multiply_values(const Pieces& x, const Sums16 (&s)[2]) {
        const auto two = [&](int j, int i) { return round_two(Elements{}, s[j][i], s[j][i + 1]); };
        const uint4 weights = make_uint4(two(0, 0), two(0, 2), two(1, 0), two(1, 2));
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const auto pair = [&](int j, int i) {
                const unsigned low = x.v[j][i].pairs[e / 2], high = x.v[j][i + 1].pairs[e / 2];
                return __builtin_amdgcn_perm(high, low, e % 2 ? 0x07060302 : 0x05040100);
            };
            o[e] = mfma_16x16<Elements>(make_uint4(pair(0, 0), pair(0, 2), pair(1, 0), pair(1, 2)), weights, o[e]);
        }
    }
};

// Units of BLOCK_N keys, every WAVES-th of begin .. end.
template <bool ALIGNED, class Rows>
__device__ __forceinline__ void attend(const FlashAttnParams& p, const Tile& t, int begin, int end, const char* other, Rows& mine) {
    const KvHead kv(p, t.s, t.kv_head);
    Eights eights;
    int u = begin + scalar(threadIdx.x / 64);
    if (u < end) eights.look_up(p, t, EIGHTS, BLOCK_N * u);
    for (; u < end; u += WAVES) {
        const int first = BLOCK_N * u;
        typename Rows::Pieces x;
        eights.settle(p, kv, first);
        const unsigned missing = eights.missing();
        mine.template fetch<ALIGNED>(p, t, eights, first, other, x);
        eights.look_up(p, t, EIGHTS, first + BLOCK_N * WAVES);
        Sums16 s[2] = {};
        mine.multiply_keys(x, s);
        if (missing || first < t.all.first || first + BLOCK_N > t.all.last) mine.mask(first, missing, s);
        mine.soften(p.scale_log2, s);
        mine.multiply_values(x, s);
    }
}

template <class Elements, int DIM> __device__ __forceinline__ void decode(const FlashAttnParams& p) {
    using Rows = Rows16<Elements, DIM>;
    __shared__ __align__(16) float o_of[WAVES][BLOCK_M][64 + 4]; // so that eight rows are in different banks
    __shared__ float2 ml_of[WAVES][BLOCK_M];
    const int wave = threadIdx.x / 64;
    const Place at(p, blockIdx.x, p.splits);
    if (blockIdx.x == 0 && threadIdx.x / 32 == WARPS - 1) check_all_offsets(p);
    if (at.s >= p.sequences) return; // none at all
    const bool reports = threadIdx.x < 32 && at.kv_head == 0 && at.split == 0 && at.tile == 0;
    Tile t = scalar(tile_at(p, at, BLOCK_M, reports ? p.status : nullptr));
    if (t.first == t.last) return;
    t.see(p);
    // This split's share of the units, dealt out to the waves.
    const int begin = t.some.first / BLOCK_N, units = (t.some.last - begin * BLOCK_N + BLOCK_N - 1) / BLOCK_N;
    const int share = t.some.first < t.some.last ? (units + p.splits - 1) / p.splits : 0;
    const int from = begin + share * at.split, end = begin + min(units, share * (at.split + 1));
    // In the middle of a row of q, which is there.
    const char* other = (const char*)((unsigned long long)row_address(t, p.q, t.first, DIM) + 15 & ~15ull);
    Rows mine(p, t);
    if (p.kv_aligned) attend<true>(p, t, from, end, other, mine);
    else attend<false>(p, t, from, end, other, mine);

#pragma unroll
    for (int step = 16; step < 64; step *= 2) mine.l += from_lane(mine.l, wave_lane() ^ step);
    if (mine.group() == 0) ml_of[wave][mine.row()] = make_float2(mine.m, mine.l);
    float* partial = p.splits > 1 ? partial_of<DIM, BLOCK_M>(p, at, at.split) : nullptr;
    // Four elements of every EACH at a time.
#pragma unroll
    for (int low = 0; low < Rows::EACH; low += 4) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            *(float4*)&o_of[wave][mine.row()][16 * mine.group() + 4 * i] =
                make_float4(mine.o[low][i], mine.o[low + 1][i], mine.o[low + 2][i], mine.o[low + 3][i]);
        }
        __syncthreads();
        for (int x = threadIdx.x; x < BLOCK_M * 64; x += 32 * WARPS) {
            const int row = x / 64, place = x % 64;
            float m = ml_of[0][row].x, l = 0.0f, o = 0.0f;
#pragma unroll
            for (int w = 1; w < WAVES; w++) m = fmaxf(m, ml_of[w][row].x);
#pragma unroll
            for (int w = 0; w < WAVES; w++) {
                const float shrink = fast_exp2(ml_of[w][row].x - m);
                l += ml_of[w][row].y * shrink;
                o += o_of[w][row][place] * shrink;
            }
            if (t.first + row < t.last) leave<DIM, BLOCK_M>(p, t, partial, row, Rows::EACH * (place / 4) + low + place % 4, m, l, o);
        }
        if (low + 4 < Rows::EACH) __syncthreads();
    }
}

#define KERNEL extern "C" __global__ void __launch_bounds__(32 * WARPS)
KERNEL mfma_decode_bf16_64(const __grid_constant__ FlashAttnParams p) { decode<Bf16s, 64>(p); }
KERNEL mfma_decode_bf16_128(const __grid_constant__ FlashAttnParams p) { decode<Bf16s, 128>(p); }
KERNEL mfma_decode_f16_64(const __grid_constant__ FlashAttnParams p) { decode<F16s, 64>(p); }
KERNEL mfma_decode_f16_128(const __grid_constant__ FlashAttnParams p) { decode<F16s, 128>(p); }
KERNEL combine_64(const __grid_constant__ FlashAttnParams p) { combine<64, BLOCK_M>(p); }
KERNEL combine_128(const __grid_constant__ FlashAttnParams p) { combine<128, BLOCK_M>(p); }
