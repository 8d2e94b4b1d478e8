// The warpgroups that multiply: each owns 64 rows of the tile, a thread two of them. Scores of a block are multiplied while the
// values of the block before are, and most exponentials are taken meanwhile.
#pragma once
#include "prefill_sm90.cuh"
#include "ptx/matrix.cuh"
#include "ptx/pairs.cuh"
#include "ptx/proxy.cuh"
#include "ptx/wgmma_attention.cuh"

// Where maxima no longer follow, weights and sums may grow this far before the tile is done again. The types allow it: bf16 and
// f32 reach 2^127.
constexpr float MOST = 0x1p100f;

// f16 reaches 2^16 only.
template <class T> constexpr bool FIXED = false;
template <> constexpr bool FIXED<MmaBf16> = true;

// What a row sees that is not there: below and above every key.
constexpr Keys NO_KEYS = {0x7fffffff, 0};

// Registers of a wgmma under way are not touched before or after.
template <int N> __device__ __forceinline__ void hold(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
    return fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(ALL_LANES, x, 1);
    return x + __shfl_xor_sync(ALL_LANES, x, 2);
}

template <class T> struct Multiplier {
    static constexpr int N = BLOCK_N, EIGHTS = N / 8;
    // Queries stay in registers where there is room.
    static constexpr bool Q_HELD = DIM == 64;
    using Scores = float[N / 2];
    const FlashAttnParams& p;
    const Memory& m;
    const int group, warp, g, c; // of the tile; of the group; rows g and g + 8 of the warp's, columns 2 c and the next
    unsigned q[Q_HELD ? DIM / 4 : 1];
    unsigned long long q_at;
    float o[DIM / 2];
    unsigned weights[N / 4];
    float max[2], sum[2], sink[2];
    Keys seen[2], all;   // keys that each row sees; that all rows of the warpgroup see
    Ring<STAGES> keys, values;

    __device__ __forceinline__ Multiplier(const FlashAttnParams& p, const Memory& m)
        : p(p), m(m), group(__shfl_sync(ALL_LANES, threadIdx.x / 128, 0)), warp(__shfl_sync(ALL_LANES, threadIdx.x / 32 % 4, 0)),
          g(threadIdx.x % 32 / 4), c(threadIdx.x % 4) {}

    __device__ __forceinline__ unsigned q_shared(int slot) const { return m.q + slot * Q_BYTES + group * 8192; }
    __device__ __forceinline__ unsigned at(unsigned long long (&barriers)[STAGES], const Ring<STAGES>& ring) const {
        return shared_address(&barriers[ring.stage]);
    }
    __device__ __forceinline__ void leave(unsigned long long (&barriers)[STAGES], const Ring<STAGES>& ring) const {
        if (threadIdx.x % 32 == 0) barrier_arrive(at(barriers, ring));
    }

    __device__ __forceinline__ void begin(const Job& job, int slot) {
        const Tile& t = job.t;
        auto of = [&](int i) {
            if (t.first + i >= t.last) return NO_KEYS;
            return visible(p, t.s, job.rows.query + job.rows.before(i));
        };
        const int row = 64 * group + 16 * warp + g, most = t.last - t.first - 1;
        seen[0] = of(row), seen[1] = of(row + 8);
        // Now, because it takes as long as a block of keys.
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const bool there = p.sinks.base && t.first + row + 8 * i < t.last;
            sink[i] = there ? sink_of(p, job.rows.head(t, row + 8 * i)) : -INFINITY;
        }
        all = {of(min(64 * group + 63, most)).first, of(min(64 * group, most)).last};
        max[0] = max[1] = NO_MAX, sum[0] = sum[1] = 0.0f;
#pragma unroll
        for (int i = 0; i < DIM / 2; i++) o[i] = 0.0f;
        const unsigned at = q_shared(slot);
        if constexpr (Q_HELD) {
            const int r = 16 * warp + threadIdx.x % 16;
#pragma unroll
            for (int k = 0; k < DIM / 16; k++) {
                const uint4 w = load_matrices(at + swizzled(r, 2 * k + threadIdx.x % 32 / 16));
                q[4 * k] = w.x, q[4 * k + 1] = w.y, q[4 * k + 2] = w.z, q[4 * k + 3] = w.w;
            }
        } else {
            q_at = matrix_descriptor(at);
        }
    }

    __device__ __forceinline__ void multiply_keys(Scores& s) const {
        const unsigned long long b = matrix_descriptor(m.k + keys.stage * KV_BYTES);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < DIM / 16; k++) { // steps of 16 elements, 32 bytes
            const unsigned long long b_k = b + (k / 4 * KV_PART + k % 4 * 32) / 16;
            if constexpr (Q_HELD) AttentionWgmma<N>::run(T{}, s, q + 4 * k, b_k, k > 0);
            else AttentionWgmma<N>::run(T{}, s, q_at + (k / 4 * Q_PART + k % 4 * 32) / 16, b_k, k > 0);
        }
        wgmma_commit();
    }

    __device__ __forceinline__ void multiply_values() {
        const unsigned long long b = turned_descriptor(m.v + values.stage * KV_BYTES, KV_PART);
#pragma unroll
        for (int k = 0; k < N / 16; k++) { // 16 keys of 128 bytes
            AttentionWgmma<DIM>::run_turned(T{}, o, weights + 4 * k, b + 16 * 128 / 16 * k, 1);
        }
        wgmma_commit();
    }

    // Keys of the block from `first` on that a row does not see count as nothing: all of them, or those past one edge, for
    // which a comparison each suffices.
    __device__ __forceinline__ void mask(Scores& s, int first, unsigned missing) const {
        const bool low = first < all.first, high = first + N > all.last;
        if (missing || (low && high)) mask_all(s, first, missing);
        else if (high) mask_edge<true>(s, first);
        else mask_edge<false>(s, first);
    }

    template <bool HIGH> __device__ __forceinline__ void mask_edge(Scores& s, int first) const {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int edge = (HIGH ? seen[i].last : seen[i].first) - first - 2 * c;
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) {
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    float& score = s[4 * n + 2 * i + k];
                    score = (8 * n + k < edge) == HIGH ? score : -INFINITY;
                }
            }
        }
    }

    __device__ __forceinline__ void mask_all(Scores& s, int first, unsigned missing) const {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int low = seen[i].first - first - 2 * c;
            const unsigned count = seen[i].last > seen[i].first ? seen[i].last - seen[i].first : 0;
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) {
                const unsigned many = missing >> n & 1 ? 0 : count;
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    float& score = s[4 * n + 2 * i + k];
                    score = unsigned(8 * n + k - low) < many ? score : -INFINITY;
                }
            }
        }
    }

    // Lets the maxima follow; true, and by how much sums shrink, where they moved.
    __device__ __forceinline__ bool raise(const Scores& s, float (&shrink)[2]) {
        float high[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float most[2] = {fmaxf(s[2 * i], s[2 * i + 1]), fmaxf(s[4 + 2 * i], s[5 + 2 * i])};
#pragma unroll
            for (int n = 2; n < EIGHTS; n++) most[n % 2] = fmaxf(most[n % 2], fmaxf(s[4 * n + 2 * i], s[4 * n + 2 * i + 1]));
            high[i] = fmaxf(most[0], most[1]) * p.scale_log2;
        }
        shrink[0] = shrink[1] = 1.0f;
        if (!__any_sync(ALL_LANES, high[0] > max[0] + SLACK || high[1] > max[1] + SLACK)) return false;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const float raised = fmaxf(max[i], quad_max(high[i]));
            shrink[i] = fast_exp2(max[i] - raised);
            max[i] = raised;
            sum[i] *= shrink[i];
        }
        return true;
    }

    // Scores FROM .. TO of a thread to weights 2^(z - max).
    template <int FROM, int TO> __device__ __forceinline__ void soften(Scores& s) {
#pragma unroll
        for (int i = FROM; i < TO; i++) {
            s[i] = fast_exp2(fmaf(s[i], p.scale_log2, -max[i / 2 % 2]));
            sum[i / 2 % 2] += s[i];
        }
    }

    __device__ __forceinline__ void round(const Scores& s) {
#pragma unroll
        for (int i = 0; i < N / 4; i++) weights[i] = pair(T{}, s[2 * i], s[2 * i + 1]);
    }

    // All blocks of a tile, from the last to the first.
    __device__ __forceinline__ void attend(int first_key, int blocks, bool follow) {
        Shared& shared = *m.s;
        // Maxima follow in the blocks where the edge of what rows see passes, and in two at least; then they stay.
        const int fixed = follow ? first_key : min(all.last - N, first_key + (blocks - 2) * N);
        int key = first_key + (blocks - 1) * N;
        float shrink[2];
        {
            Scores s;
            barrier_wait(at(shared.k_full, keys), keys.parity);
            multiply_keys(s);
            wgmma_wait<0>();
            hold(s);
            const unsigned missing = shared.missing[keys.stage];
            leave(shared.k_empty, keys), keys.next();
            if (edge(key) || missing) mask(s, key, missing);
            raise(s, shrink);
            soften<0, N / 2>(s);
            round(s);
        }
        barrier_wait(at(shared.v_full, values), values.parity);
        for (key -= N; key >= first_key; key -= N) {
            Scores s;
            barrier_wait(at(shared.k_full, keys), keys.parity);
            multiply_keys(s);
            multiply_values();
            wgmma_wait<1>();
            hold(s);
            const unsigned missing = shared.missing[keys.stage];
            leave(shared.k_empty, keys), keys.next();
            bool moved = false;
            if (edge(key) || missing) mask(s, key, missing);
            if (key >= fixed) moved = raise(s, shrink);
            constexpr int BEFORE = N / 2 * 12 / 16 & ~3; // taken before the values must be through, the others behind
            soften<0, BEFORE>(s);
            const Ring<STAGES> used = values;
            values.next();
            // The assembler moves the wait for the values in front of the exponentials unless a branch lies between that
            // needs them. Sums are not negative.
            const unsigned parity = sum[0] + sum[1] < 0.0f ? values.parity ^ 1 : values.parity;
            barrier_wait(at(shared.v_full, values), parity);
            wgmma_wait<0>();
            hold(o);
            leave(shared.v_empty, used);
            if (moved) {
#pragma unroll
                for (int i = 0; i < DIM / 2; i++) o[i] *= shrink[i / 2 % 2];
            }
            soften<BEFORE, N / 2>(s);
            round(s);
        }
        wgmma_fence();
        multiply_values();
        wgmma_wait<0>();
        hold(o);
        leave(shared.v_empty, values), values.next();
    }

    // Must scores of the block from `key` on be masked for this warpgroup?
    __device__ __forceinline__ bool edge(int key) const { return key < all.first || key + N > all.last; }

    // Of a row that is there: those that are not may hold anything.
    __device__ __forceinline__ bool overflowed(int i) const { return seen[i].first != NO_KEYS.first && !(sum[i] < MOST); }

    // Writes the rows.
    __device__ __forceinline__ void store(const Job& job, int slot) {
        const Tile& t = job.t;
        float scale[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int r = 64 * group + 16 * warp + g + 8 * i;
            scale[i] = 0.0f;
            if (t.first + r >= t.last) continue;
            const int head = job.rows.head(t, r);
            scale[i] = sum[i] == 0.0f ? 0.0f : __fdividef(1.0f, sum[i] + fast_exp2(sink[i] * LOG2_E - max[i]));
            if (c == 0) store_lse(p, job.rows.token(t, r), head, max[i], sum[i]);
            // A row that saw no key is zero, even if a sum is not.
            if (sum[i] == 0.0f) {
#pragma unroll
                for (int d = 0; d < DIM / 2; d++) o[d] = d / 2 % 2 == i ? 0.0f : o[d];
            }
        }
        if (p.out.dtype == F32 || !p.out_aligned) store_elements(job, scale);
        else if (p.out.dtype == BF16) store_pieces(MmaBf16{}, job, slot, scale);
        else store_pieces(MmaF16{}, job, slot, scale);
    }

    // Through this warp's own part of the queries, which nobody needs any more.
    template <class Out>
    __device__ __forceinline__ void store_pieces(Out, const Job& job, int slot, const float (&scale)[2]) {
        if constexpr (Q_HELD) __syncwarp(); // lanes read each other's rows in `begin`
        else sync_threads(1 + group, 128);  // the whole warpgroup multiplied with them
        const Tile& t = job.t;
        const unsigned rows = q_shared(slot) + 16 * warp * 128;
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) {
            const unsigned to = rows + n / 8 * Q_PART + swizzled(g, n % 8) + 4 * c;
            store_shared_32(to, pair(Out{}, o[4 * n] * scale[0], o[4 * n + 1] * scale[0]));
            store_shared_32(to + 8 * 128, pair(Out{}, o[4 * n + 2] * scale[1], o[4 * n + 3] * scale[1]));
        }
        __syncwarp();
        constexpr int PIECES = DIM / 8, ROWS = 32 / PIECES; // of a row; rows at once
        const int lane = threadIdx.x % 32, piece = lane % PIECES;
#pragma unroll
        for (int i = 0; i < 16 / ROWS; i++) {
            const int r = lane / PIECES + ROWS * i, n = 64 * group + 16 * warp + r;
            const uint4 words = load_shared_128(rows + piece / 8 * Q_PART + swizzled(r, piece % 8));
            if (t.first + n >= t.last) continue;
            char* to = (char*)p.out.base + (job.rows.token(t, n) * p.out.stride + job.rows.head(t, n) * DIM) * 2;
            *(uint4*)(to + 16 * piece) = words;
        }
    }

    __device__ __forceinline__ void store_elements(const Job& job, const float (&scale)[2]) {
        const Tile& t = job.t;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int r = 64 * group + 16 * warp + g + 8 * i;
            if (t.first + r >= t.last) continue;
            const long long first = (long long)job.rows.head(t, r) * DIM + 2 * c;
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) {
                store1(p.out, job.rows.token(t, r), first + 8 * n, o[4 * n + 2 * i] * scale[i]);
                store1(p.out, job.rows.token(t, r), first + 8 * n + 1, o[4 * n + 2 * i + 1] * scale[i]);
            }
        }
    }
};

template <class T> __device__ __forceinline__ void multiply(const FlashAttnParams& p, const Memory& m) {
    Shared& s = *m.s;
    Multiplier<T> mine(p, m);
    for (int turn = 0;; turn++) {
        const int slot = turn & 1;
        barrier_wait(shared_address(&s.q_full[slot]), turn >> 1 & 1);
        if (s.jobs[slot].over) return;
        const Job& job = s.jobs[slot];
        mine.begin(job, slot);
        const bool follow = job.careful || !FIXED<T>;
        if (job.blocks > 0) mine.attend(job.first_key, job.blocks, follow);
        mine.sum[0] = quad_sum(mine.sum[0]), mine.sum[1] = quad_sum(mine.sum[1]);
        if (!follow && (mine.overflowed(0) || mine.overflowed(1))) s.again[slot] = 1;
        mine.store(job, slot);
        fence_for_async(); // the copy engine may write there next
        __syncwarp();
        if (threadIdx.x % 32 == 0) barrier_arrive(shared_address(&s.q_empty[slot]));
    }
}
