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

    // Rows `first` .. `first` + N of shared memory hold what these rows see.
    __device__ __forceinline__ int first_of(const Job& job) const {
        const Tile& t = job.t;
        const int row = ::min(64 * group, t.last - t.first - 1);
        const int low = visible(p, t.s, job.rows.query + job.rows.before(row)).first;
        return ::min(::max(low - job.first_key, 0) & -8, KEYS - N);
    }

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
        for (int i = 0; i < N / 2; i++) {
            s[i] = fast_exp2(fmaf(s[i], p.scale_log2, -max[i / 2 % 2]));
            sum[i / 2 % 2] += s[i];
        }
#pragma unroll
        for (int i = 0; i < N / 4; i++) weights[i] = pair(T{}, s[2 * i], s[2 * i + 1]);
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
        mine.begin(job);
        const int first = mine.first_of(job);
        {
            float scores[BLOCK_N / 2];
            mine.multiply_keys(scores, q, m.k(stage) + 128 * first);
            wgmma_wait<0>();
            hold(scores);
            mine.mask(scores, job.first_key + first, job.missing >> first / 8);
            mine.soften(scores);
        }
        barrier_wait(shared_address(&s.v_full[stage]), ring.parity);
        mine.multiply_values(m.v(stage) + 128 * first);
        mine.sum[0] = quad_sum(mine.sum[0]), mine.sum[1] = quad_sum(mine.sum[1]);
        wgmma_wait<0>();
        hold(mine.o);
        mine.store(T{}, job, m.sinks + stage * BLOCK_M, params.out_mapped ? &params.out : nullptr, m.out + mine.group * OUT_PART);
        __syncwarp(); // wgmma is next
        barrier_arrive(shared_address(&s.empty[stage]));
    }
}
