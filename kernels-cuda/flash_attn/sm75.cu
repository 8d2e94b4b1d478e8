// Tensor cores of any type of 16 bits, as f16: mma.m16n8k8. Queries, keys and values of bf16 are rebased one by one, exactly
// (rebase.cuh); where some do not fit, their keys are taken in f32. Weights span more than f16 does: they are multiplied in
// ranges of 2^24, each brought to where f16 has all its bits; mostly one or two of them hold any.
//
// A block takes BLOCK_M rows of one sequence, a warp 16 of them, and goes over the keys they see BLOCK_N at a time.
#include "find_tile.cuh"
#include "ptx/matrix.cuh"
#include "ptx/mma_f16.cuh"
#include "stage_sm75.cuh"

static_assert(BLOCK_M == 16 * WARPS && BLOCK_N == 32, "a warp has 16 rows, a lane a key");

// Exponents of the least weight of the first range, the smallest normal number of f16; of a range; ranges down to 2^-126.
constexpr int FIRST_RANGE = -14, RANGE = 24, RANGES = 6;
constexpr int NEAR = 24; // most that values' exponents may differ by, or weights would vanish

template <int DIM>
struct Warp {
    unsigned q[DIM / 8][2];
    float q_scale[2]; // rows lane / 4 and that + 8
    bool fits;        // both rows of all lanes
    float o[DIM / 2] = {}; // [DIM / 8][4]
    float m[2] = {NO_MAX, NO_MAX}, l[2] = {};
    const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;

    // Row n of the sequence's that half `i` is.
    __device__ __forceinline__ int row(const Tile& t, int i) const {
        return t.first + int(threadIdx.x / 32) * 16 + 8 * i + g;
    }

    __device__ __forceinline__ Warp(const FlashAttnParams& p, const Tile& t) {
        bool all = true;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int n = row(t, i);
            const unsigned short* at = (const unsigned short*)row_address(t, p.q, n < t.last ? n : t.first, DIM);
            Span span;
#pragma unroll
            for (int k = 0; k < DIM / 8; k++) {
                const unsigned short* two = at + 8 * k + 2 * c;
                q[k][i] = n < t.last ? two[0] | unsigned(two[1]) << 16 : 0;
                span.add(q[k][i]);
            }
            span.share<4>();
            const Rebase<LEAST_QUERY, 127> to(p.q.dtype, span);
#pragma unroll
            for (int k = 0; k < DIM / 8; k++) q[k][i] = to(q[k][i]);
            q_scale[i] = power_of_two(to.exponent - SHIFT);
            all = all && to.fits;
        }
        fits = __all_sync(ALL_LANES, all);
    }

    // Scores of BLOCK_N keys; s[4 n ..] are those of keys 8 n .. 8 n + 8.
    __device__ __forceinline__ void multiply_keys(const Stage<DIM>& stage, float (&s)[4 * EIGHTS]) const {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int n = 0; n < EIGHTS; n++) {
            float z[4] = {};
#pragma unroll
            for (int k = 0; k < DIM / 8; k += 4) {
                const uint4 b = load_matrices(shared_address(&stage.k[8 * n + lane % 8][stage.place(lane % 8, k + lane / 8)]));
                mma_1688(z, q[k][0], q[k][1], b.x);
                mma_1688(z, q[k + 1][0], q[k + 1][1], b.y);
                mma_1688(z, q[k + 2][0], q[k + 2][1], b.z);
                mma_1688(z, q[k + 3][0], q[k + 3][1], b.w);
            }
            const float2 scale = *(const float2*)&stage.k_scale[8 * n + 2 * c];
            const float2 there = *(const float2*)&stage.there[8 * n + 2 * c];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                s[4 * n + 2 * i] = z[2 * i] * q_scale[i] * scale.x + there.x;
                s[4 * n + 2 * i + 1] = z[2 * i + 1] * q_scale[i] * scale.y + there.y;
            }
        }
    }

    // Keys from `first` on that a row does not see count as nothing.
    __device__ __forceinline__ void mask(const FlashAttnParams& p, const Tile& t, int first, float (&s)[4 * EIGHTS]) const {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const Keys seen = visible(p, t.s, row(t, i) / t.group);
            const int low = seen.first - first - 2 * c;
            const unsigned many = max(seen.last - seen.first, 0);
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) {
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    float& score = s[4 * n + 2 * i + k];
                    score = unsigned(8 * n + k - low) < many ? score : -INFINITY;
                }
            }
        }
    }

    // Scores to weights 2^(z - m), and their sums.
    __device__ __forceinline__ void soften(const FlashAttnParams& p, float (&s)[4 * EIGHTS]) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float most = s[2 * i];
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) most = fmaxf(most, fmaxf(s[4 * n + 2 * i], s[4 * n + 2 * i + 1]));
            most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 1));
            most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 2));
            const float raised = fmaxf(m[i], most * p.scale_log2), shrink = fast_exp2(m[i] - raised);
            m[i] = raised;
            l[i] *= shrink;
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) o[4 * n + 2 * i] *= shrink, o[4 * n + 2 * i + 1] *= shrink;
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) {
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    float& weight = s[4 * n + 2 * i + k];
                    weight = fast_exp2(fmaf(weight, p.scale_log2, -raised));
                    l[i] += weight;
                }
            }
        }
    }

    // Adds the weighted values. Weights take over what the values' exponents differ by.
    // False, and nothing added, where those are too far apart.
    __device__ __forceinline__ bool multiply_values(const Stage<DIM>& stage, float (&s)[4 * EIGHTS]) {
        const int own = stage.v_exponent[threadIdx.x % 32];
        int top = max(own, LEAST);
#pragma unroll
        for (int step = 16; step > 0; step /= 2) top = max(top, __shfl_xor_sync(ALL_LANES, top, step));
        if (__any_sync(ALL_LANES, own != NO_EXPONENT && own < top - NEAR)) return false;
#pragma unroll
        for (int n = 0; n < EIGHTS; n++) {
            const int2 exponent = *(const int2*)&stage.v_exponent[8 * n + 2 * c];
            const float first = power_of_two(max(exponent.x - top, -126)), second = power_of_two(max(exponent.y - top, -126));
#pragma unroll
            for (int i = 0; i < 2; i++) s[4 * n + 2 * i] *= first, s[4 * n + 2 * i + 1] *= second;
        }
        bool rest = true;
#pragma unroll 1
        for (int range = 0; range < RANGES && rest; range++) {
            const float least = range + 1 < RANGES ? power_of_two(FIRST_RANGE - RANGE * range) : 0.0f;
            const float up = power_of_two(RANGE * range);
            unsigned weights[EIGHTS][2];
            bool some = false;
            rest = false;
#pragma unroll
            for (int i = 0; i < 2 * EIGHTS; i++) {
                const float low = s[2 * i] < least ? 0.0f : s[2 * i], high = s[2 * i + 1] < least ? 0.0f : s[2 * i + 1];
                weights[i / 2][i % 2] = pair_f16(low * up, high * up);
                s[2 * i] -= low, s[2 * i + 1] -= high;
                some = some || low + high > 0.0f;
                rest = rest || s[2 * i] + s[2 * i + 1] > 0.0f;
            }
            if (__any_sync(ALL_LANES, some)) add_values(stage, weights, power_of_two(-RANGE * range), power_of_two(top));
            rest = __any_sync(ALL_LANES, rest);
        }
        return true;
    }

    __device__ __forceinline__ void add_values(const Stage<DIM>& stage, const unsigned (&weights)[EIGHTS][2],
                                               float weight_scale, float value_scale) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int d = 0; d < DIM / 8; d += 4) {
            float block[4][4] = {};
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) {
                const uint4 v = load_matrices_transposed(
                    shared_address(&stage.v[8 * n + lane % 8][stage.place(lane % 8, d + lane / 8)]));
                mma_1688(block[0], weights[n][0], weights[n][1], v.x);
                mma_1688(block[1], weights[n][0], weights[n][1], v.y);
                mma_1688(block[2], weights[n][0], weights[n][1], v.z);
                mma_1688(block[3], weights[n][0], weights[n][1], v.w);
            }
#pragma unroll
            for (int e = 0; e < 4; e++) {
#pragma unroll
                for (int i = 0; i < 4; i++) o[4 * (d + e) + i] += block[e][i] * weight_scale * value_scale;
            }
        }
    }

    // The two products in f32, from where the keys and values are stored: slow and rare. What is computed goes round in its
    // registers, one at a time.
    __device__ __forceinline__ void score_in_f32(const FlashAttnParams& p, const Tile& t, int first,
                                                 float (&s)[4 * EIGHTS]) const {
#pragma unroll 1
        for (int index = 0; index < 4 * EIGHTS; index++) {
            const int j = first + index / 4 * 8 + 2 * c + index % 2, n = row(t, index / 2 % 2);
            const int slot = j >= t.some.first && j < t.some.last && n < t.last ? slot_of(p, t.s, j) : -1;
            float score = slot < 0 ? -INFINITY : 0.0f;
            for (int d = 0; d < DIM && slot >= 0; d += 8) {
                float x[8], y[8];
                load8(p.q, t.row(n), (long long)t.head(n) * DIM + d, 8, x);
                load_key(p.store, p.k, slot, t.kv_head, d, 8, y);
#pragma unroll
                for (int i = 0; i < 8; i++) score += x[i] * y[i];
            }
#pragma unroll
            for (int i = 0; i + 1 < 4 * EIGHTS; i++) s[i] = s[i + 1];
            s[4 * EIGHTS - 1] = score;
        }
    }

    __device__ __forceinline__ void add_values_in_f32(const FlashAttnParams& p, const Tile& t, int first,
                                                      const float (&s)[4 * EIGHTS], float (*weights)[BLOCK_N]) {
#pragma unroll
        for (int index = 0; index < 4 * EIGHTS; index++) {
            weights[index / 2 % 2 * 8 + g][index / 4 * 8 + 2 * c + index % 2] = s[index];
        }
        __syncwarp();
#pragma unroll 1
        for (int index = 0; index < DIM / 2; index++) {
            const int i = index / 2 % 2, n = row(t, i), d = index / 4 * 8 + 2 * c + index % 2;
            const Keys seen = visible(p, t.s, n / t.group);
            float sum = o[0];
            for (int j = max(first, seen.first); j < min(first + BLOCK_N, seen.last) && n < t.last; j++) {
                const int slot = slot_of(p, t.s, j);
                if (slot < 0) continue;
                const KvPlace at = value_place(p.store, slot, t.kv_head, d);
                sum += weights[8 * i + g][j - first] * load1(p.v, at.row, at.col);
            }
#pragma unroll
            for (int k = 0; k + 1 < DIM / 2; k++) o[k] = o[k + 1];
            o[DIM / 2 - 1] = sum;
        }
        __syncwarp();
    }

    __device__ __forceinline__ void store(const FlashAttnParams& p, const Tile& t) const {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float sum = l[i];
            sum += __shfl_xor_sync(ALL_LANES, sum, 1);
            sum += __shfl_xor_sync(ALL_LANES, sum, 2);
            const int n = row(t, i);
            if (n >= t.last) continue;
            const int head = t.head(n);
            const float scale = normalizer(p, head, m[i], sum);
#pragma unroll
            for (int d = 0; d < DIM / 8; d++) {
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    // A row that saw no key is zero, even if a sum is not.
                    const float value = sum == 0.0f ? 0.0f : o[4 * d + 2 * i + k] * scale;
                    store1(p.out, t.row(n), (long long)head * DIM + 8 * d + 2 * c + k, value);
                }
            }
            if (c == 0) store_lse(p, t.row(n), head, m[i], sum);
        }
    }
};

template <int DIM> __device__ __forceinline__ void attend(const FlashAttnParams& p) {
    __shared__ Tile found;
    __shared__ bool any;
    __shared__ __align__(16) Stage<DIM> stages[2];
    __shared__ float weights[WARPS][16][BLOCK_N];
    const int warp = threadIdx.x / 32;
    if (warp == WARPS - 1) check_sequences(p);
    if (warp == 0) {
        // The last tiles of a sequence see the most keys: they go first.
        const int index = p.tiles - 1 - int(blockIdx.x) / p.store.heads;
        Tile t;
        const bool there = find_tile<BLOCK_M>(p, index, int(blockIdx.x) % p.store.heads, t);
        if (threadIdx.x == 0) found = t, any = there;
    }
    __syncthreads();
    if (!any) return;
    const Tile t = found;
    Warp<DIM> mine(p, t);

    const int begin = t.some.first / BLOCK_N * BLOCK_N;
    Staged<DIM> next;
    bool fits = true;
    if (begin < t.some.last) {
        next.load(p, t, begin);
        fits = next.store(p, stages[0]);
    }
    fits = __syncthreads_and(fits);
    int now = 0;
    for (int first = begin; first < t.some.last; first += BLOCK_N) {
        const bool more = first + BLOCK_N < t.some.last;
        if (more) next.load(p, t, first + BLOCK_N);
        float s[4 * EIGHTS];
        const bool fast = fits && mine.fits;
        if (fast) mine.multiply_keys(stages[now], s);
        else mine.score_in_f32(p, t, first, s);
        if (first < t.all.first || first + BLOCK_N > t.all.last) mine.mask(p, t, first, s);
        mine.soften(p, s);
        if (!fast || !mine.multiply_values(stages[now], s)) mine.add_values_in_f32(p, t, first, s, weights[warp]);
        fits = __syncthreads_and(more ? next.store(p, stages[now ^ 1]) : true);
        now ^= 1;
    }
    mine.store(p, t);
}

#define KERNEL(NAME, DIM)                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(const __grid_constant__ FlashAttnParams p) {    \
        attend<DIM>(p);                                                                                        \
    }
KERNEL(flash_attn_64, 64)
KERNEL(flash_attn_128, 128)
