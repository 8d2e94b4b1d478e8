// The two rows of a tile that a thread has: what they see, their sums, and how they are stored.
#pragma once
#include "job_sm90.cuh"
#include "ptx/pairs.cuh"
#include "ptx/proxy.cuh"
#include "scores_sm90.cuh"

// What a row sees that is not there: below and above every key.
constexpr Keys NO_KEYS = {0x7fffffff, 0};

// Registers of a wgmma under way are not touched before or after.
template <int N> __device__ __forceinline__ void hold(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

// Read once: special registers are slow, and the compiler would read threadIdx again wherever it is needed.
__device__ __forceinline__ int lane_id() {
    int lane;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}

// Eight 16-bit elements to any address of two.
__device__ __forceinline__ void store_16(char* to, uint4 words) {
#pragma unroll 1
    for (int i = 0; i < 8; i++, to += 2) {
        *(unsigned short*)to = words.x;
        words = {words.x >> 16 | words.y << 16, words.y >> 16 | words.z << 16, words.z >> 16 | words.w << 16, words.w >> 16};
    }
}

struct ThreadRows {
    const FlashAttnParams& p;
    const int group, warp, lane, g, c; // of the tile; of the group; rows g and g + 8 of the warp's, columns 2 c and the next
    Keys seen[2], all;           // keys that each row sees; that all rows of the warpgroup see
    float o[DIM / 2];
    float max[2], sum[2], scale[2];

    __device__ __forceinline__ ThreadRows(const FlashAttnParams& p)
        : p(p), group(__shfl_sync(ALL_LANES, threadIdx.x / 128, 0)), warp(__shfl_sync(ALL_LANES, threadIdx.x / 32 % 4, 0)),
          lane(lane_id()), g(lane / 4), c(lane % 4) {}

    // One thread of the warpgroup.
    __device__ __forceinline__ bool leads() const { return (warp | lane) == 0; }

    __device__ __forceinline__ void begin(const Job& job) {
        all = job.all[group];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int row = first_row() + 8 * i;
            seen[i] = job.t.first + row < job.t.last ? visible(p, job.t.s, job.rows.query + job.rows.before(row)) : NO_KEYS;
        }
    }

    // The first row of this thread in the tile; the other lies 8 behind.
    __device__ __forceinline__ int first_row() const { return 64 * group + 16 * warp + g; }

    // Until what was written before has been read.
    __device__ __forceinline__ void make_room() const {
        if (leads()) wait_stores();
        sync_threads(1 + group, 128);
    }

    // What the rows are multiplied by. `sinks` are those of the tile's rows.
    __device__ __forceinline__ void normalize(const float* sinks) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            sum[i] = quad_sum(sum[i]);
            scale[i] = __fdividef(1.0f, sum[i] + fast_exp2(sinks[first_row() + 8 * i] * LOG2_E - max[i]));
        }
    }

    // Writes the rows, by way of shared memory: of this warpgroup from `at` on, where there is room.
    template <class T> __device__ __forceinline__ void store(T, const Job& job, const TensorMap* map, unsigned at) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) {
                store_shared_32(staged(at, i, n), pair(T{}, o[4 * n + 2 * i] * scale[i], o[4 * n + 2 * i + 1] * scale[i]));
            }
        }
        // A row that saw no key is zero, even if a sum is not.
        if (sum[0] == 0.0f || sum[1] == 0.0f) {
#pragma unroll 1
            for (int n = 0; n < DIM / 8; n++) {
                if (sum[0] == 0.0f) store_shared_32(staged(at, 0, n), 0);
                if (sum[1] == 0.0f) store_shared_32(staged(at, 1, n), 0);
            }
        }
        if (p.lse_kind != LSE_NONE && c == 0) store_lse_of_rows(job);
        if (map && job.t.first + 64 * group + 64 <= job.t.last) store_box(job, map, at);
        else store_pieces(job, at);
    }

    // Where two elements of a row lie on their way.
    __device__ __forceinline__ unsigned staged(unsigned at, int i, int n) const {
        return at + n / 8 * OUT_PART + swizzled(16 * warp + g + 8 * i, n % 8) + 4 * c;
    }

    // Not unrolled: little code is what matters.
    __device__ __forceinline__ void store_lse_of_rows(const Job& job) const {
#pragma unroll 1
        for (int i = 0; i < 2; i++) {
            const int row = first_row() + 8 * i;
            if (job.t.first + row >= job.t.last) return;
            store_lse(p, job.rows.token(job.t, row), job.rows.head(job.t, row), i ? max[1] : max[0], i ? sum[1] : sum[0]);
        }
    }

    // All 64 rows, by the copy engine.
    __device__ __forceinline__ void store_box(const Job& job, const TensorMap* map, unsigned at) const {
        fence_for_async();
        sync_threads(1 + group, 128);
        if (!leads()) return;
#pragma unroll
        for (int i = 0; i < PARTS; i++) tma_store(map, 64 * i, 0, job.t.kv_head, job.rows.token(job.t, 64 * group), at + i * OUT_PART);
        commit_stores();
    }

    // The rows that are there, each warp its own.
    __device__ __forceinline__ void store_pieces(const Job& job, unsigned at) const {
        const Tile& t = job.t;
        __syncwarp();
        constexpr int PIECES = DIM / 8, ROWS = 32 / PIECES; // of a row; rows at once
        const int piece = lane % PIECES;
#pragma unroll 1
        for (int r = 16 * warp + lane / PIECES; r < 16 * warp + 16; r += ROWS) {
            const int n = 64 * group + r;
            if (t.first + n >= t.last) return;
            const uint4 words = load_shared_128(at + piece / 8 * OUT_PART + swizzled(r, piece % 8));
            char* to = (char*)p.out.base + (job.rows.token(t, n) * p.out.stride + job.rows.head(t, n) * DIM) * 2 + 16 * piece;
            if (p.out_aligned) *(uint4*)to = words;
            else store_16(to, words);
        }
    }
};
