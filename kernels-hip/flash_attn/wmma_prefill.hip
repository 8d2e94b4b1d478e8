// Many query rows on the matrix units of gfx11 and gfx12: bound by them. A block takes BLOCK_M rows of one sequence (at head_dim
// 128 half as many) and goes over the keys they see, BLOCK_N at a time. A wave owns its rows, one a lane and its partner 16 lanes
// on: S^T = K Q^T and O^T = V^T P^T, so that the scores a lane gets are, rounded, its operand of the second product (on gfx11
// together with its partner's), and every sum of a row is a lane's own. Only tiles at the edge of what rows see are masked.
//
// Roofs of 4096 causal queries, 64 heads of 64 over 8 key heads, on an RX 7900 XTX: 137 GFLOP at 123 TFLOP/s are 1.1 ms, 75 MB at
// 960 GB/s are 78 us. No such device was at hand.
#include "../../kernels-cuda/flash_attn/find_tile.cuh"
#include "wmma_stage.h"
#include "scalar.h"

// A wave's TILES tiles of 16 rows.
template <class Factor, int DIM, int TILES> struct Rows16 {
    using S = Stage<DIM>;
    static constexpr int GROUPS = BLOCK_N / 16; // of keys
    Factor q[TILES][DIM / 16];
    Sums o[TILES][DIM / 16] = {};
    float m[TILES], l[TILES] = {};
    Keys sees[TILES];
    Tile mine; // as the block's, of these rows

    static __device__ __forceinline__ int half() { return wave_lane() / 16; }
    __device__ __forceinline__ int row(int tile) const { return mine.first + 16 * tile + int(wave_lane() % 16); }

    __device__ __forceinline__ Rows16(const FlashAttnParams& p, const Tile& t) : mine(t) {
        mine.first = min(t.first + scalar(threadIdx.x / 32) * (16 * TILES), t.last);
        mine.last = min(mine.first + 16 * TILES, t.last);
        if (mine.first < mine.last) mine.see(p);
        else mine.some = {0, 0};
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            m[tile] = NO_MAX;
            const int n = min(row(tile), t.last - 1);
            sees[tile] = visible(p, t.s, t.query(n));
            const char* at = row_address(t, p.q, n, DIM) + 2 * wmma_first();
#pragma unroll
            for (int k = 0; k < DIM / 16; k++) {
                FactorWords words;
#pragma unroll
                for (int i = 0; i < WMMA_EACH / 8; i++) {
                    const char* eight = at + 32 * k + 16 * i;
                    words.eights[i] = p.q_aligned ? fetch_16<true>(eight) : fetch_16<false>(eight);
                }
                q[tile][k] = __builtin_bit_cast(Factor, words);
            }
        }
    }

    // Scores: element i of group g is key 16 g + 8 half + i of the stage.
    __device__ __forceinline__ void multiply_keys(const S& stage, Sums (&s)[TILES][GROUPS]) const {
#pragma unroll
        for (int k = 0; k < DIM / 16; k++) {
#pragma unroll
            for (int g = 0; g < GROUPS; g++) {
                const Factor keys = wmma_factor<Factor>(&stage.keys[16 * g + wave_lane() % 16][16 * k]);
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) s[tile][g] = wmma(keys, q[tile][k], k == 0 ? Sums{} : s[tile][g]);
            }
        }
    }

    // Keys from `first` on that a row does not see count as nothing; of eights whose bit is set, no row sees any.
    __device__ __forceinline__ void mask(int first, unsigned missing, Sums (&s)[TILES][GROUPS]) const {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int g = 0; g < GROUPS; g++) {
                const int eight = 2 * g + half(), low = sees[tile].first - first - 8 * eight;
                const unsigned many = missing >> eight & 1 ? 0 : sees[tile].last - sees[tile].first;
#pragma unroll
                for (int i = 0; i < 8; i++) s[tile][g][i] = unsigned(i - low) < many ? s[tile][g][i] : -INFINITY;
            }
        }
    }

    // Scores to weights 2^(z - m), and their sums.
    __device__ __forceinline__ void soften(float scale, Sums (&s)[TILES][GROUPS]) {
        float high[TILES];
        bool raise = false;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            float most = s[tile][0][0];
#pragma unroll
            for (int i = 1; i < 8 * GROUPS; i++) most = fmaxf(most, s[tile][i / 8][i % 8]);
            high[tile] = most * scale;
            raise |= high[tile] > m[tile] + SLACK;
        }
        if (__ballot_sync(ALL_LANES, raise)) {
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) {
                const float raised = fmaxf(m[tile], fmaxf(high[tile], other_half(high[tile])));
                const float shrink = fast_exp2(m[tile] - raised);
                m[tile] = raised;
                l[tile] *= shrink;
#pragma unroll
                for (int d = 0; d < DIM / 16; d++) o[tile][d] *= shrink;
            }
        }
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            float sums[2] = {};
#pragma unroll
            for (int g = 0; g < GROUPS; g++) {
                s[tile][g] = __builtin_elementwise_fma(s[tile][g], Sums(scale), Sums(-m[tile]));
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    s[tile][g][i] = fast_exp2(s[tile][g][i]);
                    sums[i % 2] += s[tile][g][i];
                }
            }
            l[tile] += sums[0] + sums[1];
        }
    }

    // Eight weights as the lane's part of a factor, rounded to their type.
    static __device__ __forceinline__ Factor weights(const Sums& s) {
        const auto two = [&](int i) { return round_two(Factor{}, s[i], s[i + 1]); };
        const uint4 own = make_uint4(two(0), two(2), two(4), two(6));
        FactorWords words;
        if constexpr (WMMA_EACH == 8) {
            words.eights[0] = own;
        } else {
            const uint4 other = {other_half(own.x), other_half(own.y), other_half(own.z), other_half(own.w)};
            words.eights[0] = half() == 0 ? own : other, words.eights[1] = half() == 0 ? other : own;
        }
        return __builtin_bit_cast(Factor, words);
    }

    __device__ __forceinline__ void multiply_values(const S& stage, const Sums (&s)[TILES][GROUPS]) {
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            Factor w[TILES];
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) w[tile] = weights(s[tile][g]);
#pragma unroll
            for (int d = 0; d < DIM / 16; d++) {
                const int row = 16 * d + wave_lane() % 16;
                FactorWords words;
#pragma unroll
                for (int i = 0; i < WMMA_EACH / 8; i++) words.eights[i] = *(const uint4*)stage.value(row, 2 * g + wmma_first() / 8 + i);
                const Factor values = __builtin_bit_cast(Factor, words);
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) o[tile][d] = wmma(values, w[tile], o[tile][d]);
            }
        }
    }

    __device__ __forceinline__ void take(const FlashAttnParams& p, const S& stage, int first, unsigned missing) {
        if (first >= mine.some.last || first + BLOCK_N <= mine.some.first) return;
        Sums s[TILES][GROUPS];
        multiply_keys(stage, s);
        if (missing || first < mine.all.first || first + BLOCK_N > mine.all.last) mask(first, missing, s);
        soften(p.scale_log2, s);
        multiply_values(stage, s);
    }

    __device__ __forceinline__ void store(const FlashAttnParams& p) const {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            const float sum = l[tile] + other_half(l[tile]);
            const int n = row(tile);
            if (n >= mine.last) continue;
            const int head = mine.head(n);
            const float scale = normalizer(p, head, m[tile], sum);
#pragma unroll
            for (int d = 0; d < DIM / 16; d++) {
                float x[8];
                // A row that saw no key is zero, even if a sum is not.
#pragma unroll
                for (int i = 0; i < 8; i++) x[i] = sum == 0.0f ? 0.0f : o[tile][d][i] * scale;
                store8(p.out, mine.row(n), (long long)head * DIM + 16 * d + 8 * half(), 8, x);
            }
            if (half() == 0) store_lse(p, mine.row(n), head, m[tile], sum);
        }
    }
};

template <class Factor, int DIM, bool ALIGNED>
__device__ __forceinline__ void attend(const FlashAttnParams& p, const Tile& t, Stage<DIM> (&stages)[2]) {
    constexpr int TILES = BLOCK_M / (16 * WARPS) * 64 / DIM;
    const KvHead kv(p, t.s, t.kv_head);
    const int begin = t.some.first / BLOCK_N * BLOCK_N, end = t.some.first < t.some.last ? t.some.last : begin;
    // In the middle of a row of q, which is there.
    const char* row = row_address(t, p.q, t.first, DIM);
    const char* other = row + (-(unsigned long long)row & 15); // no cast to a pointer: the compiler knows it to be in global memory
    Pieces<DIM> next;
    unsigned missing = 0, ahead = 0; // of the stage that is multiplied, and of the next one
    if (begin < end) {
        next.look_up(p, t, kv, begin);
        missing = next.missing(t, begin);
        next.template load<ALIGNED>(p, t, kv, begin, other);
        next.look_up(p, t, kv, begin + BLOCK_N);
        next.store(stages[0]);
    }
    Rows16<Factor, DIM, TILES> mine(p, t);
    __syncthreads();
    for (int first = begin, at = 0; first < end; first += BLOCK_N, at ^= 1) {
        const bool more = first + BLOCK_N < end;
        if (more) {
            ahead = next.missing(t, first + BLOCK_N);
            next.template load<ALIGNED>(p, t, kv, first + BLOCK_N, other);
            next.look_up(p, t, kv, first + 2 * BLOCK_N);
        }
        mine.take(p, stages[at], first, missing);
        missing = ahead;
        // All waves are through with what was there.
        if (more) next.store(stages[at ^ 1]);
        __syncthreads();
    }
    mine.store(p);
}

template <class Factor, int DIM> __device__ __forceinline__ void prefill(const FlashAttnParams& p) {
    __shared__ __align__(16) Stage<DIM> stages[2];
    if (threadIdx.x / 32 == WARPS - 1) check_sequences(p);
    // The last tiles of a sequence see the most keys: they go first. Every warp looks for the tile itself.
    Tile t;
    const int index = p.tiles - 1 - int(blockIdx.x) / p.store.heads;
    if (!find_tile<BLOCK_M * 64 / DIM>(p, index, int(blockIdx.x) % p.store.heads, t)) return;
    t = scalar(t);
    if (p.kv_aligned) attend<Factor, DIM, true>(p, t, stages);
    else attend<Factor, DIM, false>(p, t, stages);
}

#define KERNEL extern "C" __global__ void __launch_bounds__(32 * WARPS)
KERNEL wmma_prefill_bf16_64(const __grid_constant__ FlashAttnParams p) { prefill<Bf16s, 64>(p); }
KERNEL wmma_prefill_bf16_128(const __grid_constant__ FlashAttnParams p) { prefill<Bf16s, 128>(p); }
KERNEL wmma_prefill_f16_64(const __grid_constant__ FlashAttnParams p) { prefill<F16s, 64>(p); }
KERNEL wmma_prefill_f16_128(const __grid_constant__ FlashAttnParams p) { prefill<F16s, 128>(p); }
