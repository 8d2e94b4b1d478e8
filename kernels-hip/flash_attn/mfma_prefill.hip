// Many query rows on matrix units: bound by them. A block takes BLOCK_M rows of one sequence (at head_dim 128 half as many) and
// goes over the keys they see, BLOCK_N at a time (at 128 half as many). A wave owns its rows, one a lane and its partner 32 lanes
// on: S^T = K Q^T and O^T = V^T P^T, so that the scores a lane gets are, rounded, its operand of the second product, and every sum
// of a row is a lane's own. Only tiles at the edge of what rows see are masked.
//
// Roofs of 4096 causal queries, 64 heads of 64 over 8 key heads, on an MI300X: 137 GFLOP at 1307 TFLOP/s are 105 us, 75 MB at
// 5.3 TB/s are 14 us. No such device was at hand.
#include "../../kernels-cuda/flash_attn/find_tile.cuh"
#include "mfma_stage.h"
#include "rows.h"
#include "scalar.h"

// A wave's TILES tiles of 32 rows.
template <class Factor, int DIM, int TILES> struct Rows32 {
    using S = Stage<DIM>;
    uint4 q[TILES][DIM / 16];
    Sums o[TILES][DIM / 32] = {};
    float m[TILES], l[TILES] = {};
    Keys sees[TILES];
    Tile mine; // as the block's, of these rows
    bool exact = false; // do the matrix units flush some query?

    static __device__ __forceinline__ int half() { return wave_lane() / 32; }
    __device__ __forceinline__ int row(int tile) const { return mine.first + 32 * tile + int(wave_lane() % 32); }

    __device__ __forceinline__ Rows32(const FlashAttnParams& p, const Tile& t) : mine(t) {
        mine.first = min(t.first + scalar(threadIdx.x / 64) * (32 * TILES), t.last);
        mine.last = min(mine.first + 32 * TILES, t.last);
        if (mine.first < mine.last) mine.see(p);
        else mine.some = {0, 0};
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            m[tile] = NO_MAX;
            const int n = min(row(tile), t.last - 1);
            sees[tile] = visible(p, t.s, t.query(n));
            const char* at = row_address(t, p.q, n, DIM) + 16 * half();
#pragma unroll
            for (int k = 0; k < DIM / 16; k++) {
                q[tile][k] = p.q_aligned ? fetch_16<true>(at + 32 * k) : fetch_16<false>(at + 32 * k);
                exact = exact || flushed<Factor>(q[tile][k]);
            }
        }
        exact = MFMA_FLUSHES && __builtin_amdgcn_ballot_w64(exact);
    }

    // Scores of the 32 keys from row `first` of the stage on: element i is key 16 * (i / 8) + 8 * half + i % 8.
    template <bool EXACT> __device__ __forceinline__ void multiply_keys(const S& stage, int first, Sums (&s)[TILES]) const {
        const int row = first + wave_lane() % 32;
        uint4 keys[DIM / 16];
#pragma unroll
        for (int k = 0; k < DIM / 16; k++) keys[k] = stage.keys[S::key_place(row, 2 * k + half())];
        all_on_their_way();
#pragma unroll
        for (int i = 0; i < TILES * DIM / 16; i++) {
            const int tile = i % TILES, k = i / TILES;
            s[tile] = product<EXACT, Factor>(keys[k], q[tile][k], k == 0 ? Sums{} : s[tile]);
        }
    }

    // Of the values of those keys, this lane's operands.
    struct Values {
        uint4 of[2][DIM / 32];
    };
    __device__ __forceinline__ Values values(const S& stage, int first) const {
        Values out;
#pragma unroll
        for (int k = 0; k < 2; k++) {
#pragma unroll
            for (int d = 0; d < DIM / 32; d++) {
                out.of[k][d] = stage.values[S::value_place(32 * d + wave_lane() % 32, first / 8 + 2 * k + half())];
            }
        }
        all_on_their_way();
        return out;
    }

    // Keys from `first` on that a row does not see count as nothing; of eights whose bit is set, no row sees any.
    __device__ __forceinline__ void mask(int first, unsigned missing, Sums (&s)[TILES]) const {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            const int low = sees[tile].first - first - 8 * half();
            const unsigned count = sees[tile].last - sees[tile].first;
#pragma unroll
            for (int i = 0; i < 16; i++) {
                const unsigned many = missing >> (2 * (i / 8) + half()) & 1 ? 0 : count;
                s[tile][i] = unsigned(16 * (i / 8) + i % 8 - low) < many ? s[tile][i] : -INFINITY;
            }
        }
    }

    // Scores to weights 2^(z - m), and their sums; m is RAISE below a largest z.
    __device__ __forceinline__ void soften(float scale, Sums (&s)[TILES]) {
        float high[TILES];
        bool raise = false;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            float most = s[tile][0];
#pragma unroll
            for (int i = 1; i < 16; i++) most = fmaxf(most, s[tile][i]);
            high[tile] = most * scale;
            raise |= high[tile] > m[tile] + (RAISE<Factor> + ROOM<Factor>);
        }
        if (__builtin_amdgcn_ballot_w64(raise)) {
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) {
                const float raised = fmaxf(m[tile], fmaxf(high[tile], other_half(high[tile])) - RAISE<Factor>);
                const float shrink = fast_exp2(m[tile] - raised);
                m[tile] = raised;
                l[tile] *= shrink;
#pragma unroll
                for (int d = 0; d < DIM / 32; d++) o[tile][d] *= shrink;
            }
        }
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            s[tile] = __builtin_elementwise_fma(s[tile], Sums(scale), Sums(-m[tile]));
            float sums[2] = {};
#pragma unroll
            for (int i = 0; i < 16; i++) {
                s[tile][i] = fast_exp2(s[tile][i]);
                sums[i % 2] += s[tile][i];
            }
            l[tile] += sums[0] + sums[1];
        }
    }

    // Adds the weighted values, weights rounded to their type.
    template <bool EXACT> __device__ __forceinline__ void multiply_values(const Values& values, const Sums (&s)[TILES]) {
#pragma unroll
        for (int k = 0; k < 2; k++) {
            uint4 weights[TILES];
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) {
                const auto two = [&](int i) { return round_two(Factor{}, s[tile][8 * k + i], s[tile][8 * k + i + 1]); };
                weights[tile] = make_uint4(two(0), two(2), two(4), two(6));
            }
#pragma unroll
            for (int d = 0; d < DIM / 32; d++) {
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) {
                    o[tile][d] = product<EXACT, Factor>(values.of[k][d], weights[tile], o[tile][d]);
                }
            }
        }
    }

    template <bool EXACT>
    __device__ __forceinline__ void take(const FlashAttnParams& p, const S& stage, int first, unsigned missing) {
#pragma unroll
        for (int at = 0; at < S::KEYS; at += 32) {
            const int key = first + at;
            if (key >= mine.some.last || key + 32 <= mine.some.first) continue;
            Sums s[TILES];
            multiply_keys<EXACT>(stage, at, s);
            const Values v = values(stage, at);
            const unsigned gone = missing >> at / 8 & 15;
            if (gone || key < mine.all.first || key + 32 > mine.all.last) mask(key, gone, s);
            soften(p.scale_log2, s);
            multiply_values<EXACT>(v, s);
        }
    }

    __device__ __forceinline__ void store(const FlashAttnParams& p) const {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            const float sum = l[tile] + other_half(l[tile]);
            const int n = row(tile);
            if (n >= mine.last) continue;
            const int head = mine.head(n);
            const float scale = normalizer(p, head, m[tile], sum);
            char* at = row_address(mine, p.out, n, DIM);
#pragma unroll
            for (int d = 0; d < DIM / 32; d++) {
#pragma unroll
                for (int i = 0; i < 16; i += 4) {
                    float x[4];
                    // A row that saw no key is zero, even if a sum is not.
#pragma unroll
                    for (int e = 0; e < 4; e++) x[e] = sum == 0.0f ? 0.0f : o[tile][d][i + e] * scale;
                    store_four(p.out.dtype, at, 32 * d + 2 * i + 4 * half(), x);
                }
            }
            if (half() == 0) store_lse(p, mine.row(n), head, m[tile], sum);
        }
    }
};

template <class Factor, int DIM, bool ALIGNED>
__device__ __forceinline__ void attend(const FlashAttnParams& p, const Tile& t, Stage<DIM> (&stages)[2]) {
    constexpr int TILES = BLOCK_M / (32 * WAVES) * 64 / DIM, KEYS = Stage<DIM>::KEYS;
    const KvHead kv(p, t.s, t.kv_head);
    const int begin = t.some.first / KEYS * KEYS, end = t.some.first < t.some.last ? t.some.last : begin;
    // In the middle of a row of q, which is there.
    const char* other = (const char*)((unsigned long long)row_address(t, p.q, t.first, DIM) + 15 & ~15ull);
    Rows32<Factor, DIM, TILES> mine(p, t);
    // Else the loop would wait for the queries again and again, and so for the keys in flight.
    wait_for_loads();
    Pieces<Factor, DIM> next;
    Eights eights;
    unsigned missing = 0, ahead = 0; // of the stage that is multiplied, and of the next one
    // Brings the stage from key `first` on on its way, whose pages were looked up a stage ago, and looks up the next one's.
    const auto load = [&](int first) {
        if (first >= end) return;
        eights.settle(p, kv, first);
        ahead = eights.missing();
        next.template load<ALIGNED>(p, t, eights, first, other);
        eights.look_up(p, t, Stage<DIM>::EIGHTS, first + KEYS);
    };
    if (begin < end) {
        eights.look_up(p, t, Stage<DIM>::EIGHTS, begin);
        load(begin);
        missing = ahead;
        next.store(stages[0]);
        load(begin + KEYS);
    }
    __syncthreads();
    for (int first = begin, at = 0; first < end; first += KEYS, at ^= 1) {
        const bool exact = mine.exact || stages[at].flushed.any();
        if (SMALL_SUMS<Factor>) mine.exact = exact; // from there on
        if (MFMA_FLUSHES && exact) mine.template take<true>(p, stages[at], first, missing);
        else mine.template take<false>(p, stages[at], first, missing);
        missing = ahead;
        if (first + KEYS < end) {
            next.store(stages[at ^ 1]); // all waves are through with what was there
            load(first + 2 * KEYS);
        }
        __syncthreads();
    }
    mine.store(p);
}

template <class Factor, int DIM> __device__ __forceinline__ void prefill(const FlashAttnParams& p) {
    __shared__ Stage<DIM> stages[2];
    if (threadIdx.x / 32 == WARPS - 1) check_sequences(p);
    // The last tiles of a sequence see the most keys: they go first. Every warp looks for the tile itself.
    Tile t;
    const int index = p.tiles - 1 - int(blockIdx.x) / p.store.heads;
    if (!find_tile<BLOCK_M * 64 / DIM>(p, index, int(blockIdx.x) % p.store.heads, t)) return;
    t = scalar(t);
    if (p.kv_aligned) attend<Factor, DIM, true>(p, t, stages);
    else attend<Factor, DIM, false>(p, t, stages);
}

// Two blocks have all of LDS, unless stages are noted to be too small for the matrix units.
#define KERNEL                                                                                                         \
    extern "C" __global__ void __launch_bounds__(32 * WARPS) __attribute__((amdgpu_waves_per_eu(MFMA_FLUSHES ? 1 : 2)))
KERNEL mfma_prefill_bf16_64(const __grid_constant__ FlashAttnParams p) { prefill<Bf16s, 64>(p); }
KERNEL mfma_prefill_bf16_128(const __grid_constant__ FlashAttnParams p) { prefill<Bf16s, 128>(p); }
KERNEL mfma_prefill_f16_64(const __grid_constant__ FlashAttnParams p) { prefill<F16s, 64>(p); }
KERNEL mfma_prefill_f16_128(const __grid_constant__ FlashAttnParams p) { prefill<F16s, 128>(p); }
