// The warpgroups that multiply: each attends 64 rows to their BLOCK_N keys at once.
#pragma once
#include "ptx/wgmma_attention.cuh"
#include "scores_sm90.cuh"
#include "thread_rows_sm90.cuh"
#include "window_sm90.cuh"

template <class T> struct WindowMultiplier : ThreadRows {
    static constexpr int N = BLOCK_N;
    // Keys in front of the one that the first rows see first, at most 7, those that a further query sees first, 7, and the queries'
    // own: edges pass through the first and the last 16 of a window of 128.
    static constexpr int EDGE = 16;
    using Scores = float[N / 2];
    unsigned weights[N / 4];

    __device__ __forceinline__ explicit WindowMultiplier(const FlashAttnParams& p) : ThreadRows(p) {}

    __device__ __forceinline__ void multiply_keys(Scores& s, unsigned q, unsigned k) const {
        const unsigned long long a = matrix_descriptor(q), b = matrix_descriptor(k);
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < DIM / 16; i++) AttentionWgmma<N>::run(T{}, s, a + 2 * i, b + 2 * i, i > 0); // 32 bytes
        wgmma_commit();
    }

    __device__ __forceinline__ void mask(Scores& s, int first, unsigned missing) const {
        const bool middle = all.first <= first + EDGE && all.last >= first + N - EDGE;
        if (missing || !middle) {
            mask_all(s, first, seen, c, missing);
        } else {
            mask_edge<false, 0, EDGE / 8>(s, first, seen, c);
            mask_edge<true, (N - EDGE) / 8, N / 8>(s, first, seen, c);
        }
    }

    __device__ __forceinline__ void soften(Scores& s) {
        largest(s, max);
#pragma unroll
        for (int i = 0; i < 2; i++) max[i] = fmaxf(quad_max(max[i]) * p.scale_log2, NO_MAX), sum[i] = 0.0f;
#pragma unroll
        for (int i = 0; i < N / 4; i++) {
            const float low = fast_exp2(fmaf(s[2 * i], p.scale_log2, -max[i % 2]));
            const float high = fast_exp2(fmaf(s[2 * i + 1], p.scale_log2, -max[i % 2]));
            sum[i % 2] += low, sum[i % 2] += high;
            weights[i] = pair(T{}, low, high);
        }
    }

    __device__ __forceinline__ void multiply_values(unsigned v) {
        const unsigned long long b = turned_descriptor(v, KV_BYTES);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < N / 16; k++) AttentionWgmma<DIM>::run_turned(T{}, o, weights + 4 * k, b + 128 * k, k > 0);
        wgmma_commit();
    }
};

template <class T> __device__ __forceinline__ void multiply(const PrefillParams& params, const Memory& m) {
    Shared& s = *m.s;
    WindowMultiplier<T> mine(params.p);
    for (Ring<STAGES> ring;; ring.next()) {
        const unsigned stage = ring.stage, q = m.q(stage) + mine.group * 8192;
        barrier_wait(shared_address(&s.k_full[stage]), ring.parity);
        const WindowJob& job = s.jobs[stage];
        if (job.over) return wait_stores();
        // The same in all lanes, which the compiler must know: descriptors are uniform then.
        const int first = __shfl_sync(ALL_LANES, job.begin[mine.group], 0);
        {
            float scores[BLOCK_N / 2];
            mine.multiply_keys(scores, q, m.k(stage) + 128 * first);
            mine.begin(job);
            const int first_key = job.first_key + first;
            const unsigned missing = job.missing >> first / 8;
            wgmma_wait<0>();
            hold(scores);
            mine.mask(scores, first_key, missing);
            mine.soften(scores);
        }
        barrier_wait(shared_address(&s.v_full[stage]), ring.parity);
        mine.multiply_values(m.v(stage) + 128 * first);
        mine.make_room();
        mine.normalize(m.sinks + stage * BLOCK_M);
        wgmma_wait<0>();
        hold(mine.o);
        mine.store(T{}, job, params.out_mapped ? &params.out : nullptr, m.out + mine.group * OUT_PART);
        __syncwarp(); // wgmma is next
        barrier_arrive(shared_address(&s.empty[stage]));
    }
}
