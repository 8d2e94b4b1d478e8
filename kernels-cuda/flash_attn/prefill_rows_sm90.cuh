// The warpgroups that multiply: each owns 64 rows of the tile, a thread two of them. Scores of a block are multiplied while the
// values of the block before are, and most exponentials are taken meanwhile.
#pragma once
#include "prefill_sm90.cuh"
#include "ptx/matrix.cuh"
#include "ptx/wgmma_attention.cuh"
#include "scores_sm90.cuh"
#include "thread_rows_sm90.cuh"

// Where maxima no longer follow, weights and sums may grow this far before the tile is done again. The types allow it: bf16 and
// f32 reach 2^127.
constexpr float MOST = 0x1p100f;

// f16 reaches 2^16 only.
template <class T> constexpr bool FIXED = false;
template <> constexpr bool FIXED<MmaBf16> = true;

template <class T> struct Multiplier : ThreadRows {
    static constexpr int N = BLOCK_N;
    // Queries stay in registers where there is room.
    static constexpr bool Q_HELD = DIM == 64;
    using Scores = float[N / 2];
    const Memory& m;
    unsigned q[Q_HELD ? DIM / 4 : 1];
    unsigned long long q_at;
    unsigned weights[N / 4];
    Ring<STAGES> keys, values;

    __device__ __forceinline__ Multiplier(const FlashAttnParams& p, const Memory& m) : ThreadRows(p), m(m) {}

    __device__ __forceinline__ unsigned q_shared(int slot) const { return m.q + slot * Q_BYTES + group * 8192; }
    __device__ __forceinline__ unsigned at(unsigned long long (&barriers)[STAGES], const Ring<STAGES>& ring) const {
        return shared_address(&barriers[ring.stage]);
    }
    // Of the keys at hand. Read by the lane that leaves them alone, because the others do not say when they have.
    __device__ __forceinline__ unsigned missing() const {
        unsigned bits = 0;
        if (lane == 0) bits = m.s->missing[keys.stage];
        return __shfl_sync(ALL_LANES, bits, 0);
    }

    __device__ __forceinline__ void leave(unsigned long long (&barriers)[STAGES], const Ring<STAGES>& ring) const {
        if (lane == 0) barrier_arrive(at(barriers, ring));
    }

    __device__ __forceinline__ void begin(const Job& job, int slot) {
        ThreadRows::begin(job);
        max[0] = max[1] = NO_MAX, sum[0] = sum[1] = 0.0f;
#pragma unroll
        for (int i = 0; i < DIM / 2; i++) o[i] = 0.0f;
        const unsigned at = q_shared(slot);
        if constexpr (Q_HELD) {
            const int r = 16 * warp + lane % 16;
#pragma unroll
            for (int k = 0; k < DIM / 16; k++) {
                const uint4 w = load_matrices(at + swizzled(r, 2 * k + lane / 16));
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

    // Most blocks lie inside of what all rows see; past the last keys alone a comparison each suffices.
    __device__ __forceinline__ void mask(Scores& s, int key, unsigned missing) const {
        if (missing || key < all.first) mask_all(s, key, seen, c, missing);
        else if (key + N > all.last) mask_edge<true, 0, N / 8>(s, key, seen, c);
    }

    // Lets the maxima follow; true, and by how much sums shrink, where they moved.
    __device__ __forceinline__ bool raise(const Scores& s, float (&shrink)[2]) {
        float high[2];
        largest(s, high);
        high[0] *= p.scale_log2, high[1] *= p.scale_log2;
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
            const unsigned gone = missing();
            wgmma_wait<0>();
            hold(s);
            leave(shared.k_empty, keys), keys.next();
            mask(s, key, gone);
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
            const unsigned gone = missing();
            wgmma_wait<1>();
            hold(s);
            leave(shared.k_empty, keys), keys.next();
            bool moved = false;
            mask(s, key, gone);
            if (key >= fixed) moved = raise(s, shrink);
            constexpr int BEFORE = N / 2 * 8 / 16 & ~3; // taken before the values must be through, the others behind
            const Ring<STAGES> used = values;
            values.next();
            const bool ready = barrier_done(at(shared.v_full, values), values.parity);
            soften<0, BEFORE>(s);
            // The assembler moves the wait for the values in front of the exponentials unless a branch lies between that needs
            // their sums, which are not negative.
            if (!ready || sum[0] + sum[1] < 0.0f) barrier_wait(at(shared.v_full, values), values.parity);
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

    // Of a row that is there: those that are not may hold anything.
    __device__ __forceinline__ bool overflowed(int i) const { return seen[i].first != NO_KEYS.first && !(sum[i] < MOST); }
};

template <class T> __device__ __forceinline__ void multiply(const PrefillParams& params, const Memory& m) {
    Shared& s = *m.s;
    Multiplier<T> mine(params.p, m);
    for (int turn = 0;; turn++) {
        const int slot = turn & 1;
        barrier_wait(shared_address(&s.q_full[slot]), turn >> 1 & 1);
        if (s.jobs[slot].over) {
            wait_stores();
            return;
        }
        const Job& job = s.jobs[slot];
        mine.begin(job, slot);
        const bool follow = job.careful || !FIXED<T>;
        if (job.blocks > 0) mine.attend(job.first_key, job.blocks, follow);
        mine.normalize(m.sinks + slot * BLOCK_M);
        if (!follow && (mine.overflowed(0) || mine.overflowed(1))) s.again[slot] = 1;
        mine.make_room();
        mine.store(T{}, job, params.out_mapped ? &params.out : nullptr, m.out + mine.group * PARTS * OUT_PART);
        __syncwarp(); // wgmma is next
        barrier_arrive(shared_address(&s.q_empty[slot]));
    }
}
