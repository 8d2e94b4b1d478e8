// A warp's part of a decode: S^T = K Q^T and O^T = V^T P^T on 16 keys at a time, so that keys are the rows of the tensor core's
// tile and query rows its columns. The elements of a head are permuted for the products so that every load is 16 bytes; sums
// do not mind.
#pragma once
#include "ptx/matrix.cuh"
#include "ptx/pairs.cuh"
#include "tile.cuh"

// The state of a warp: COLS tiles of 8 rows n.
template <class T, int DIM, int COLS> struct DecodeWarp {
    static constexpr int COLUMNS = COLS;
    static constexpr int CHUNKS = DIM / 32; // a lane's 16-byte pieces of a key
    static constexpr int PIECES = DIM / 64; // and of a value
    uint4 q[COLS][CHUNKS];
    float o[COLS][DIM / 16][4] = {};
    float m[COLS][2], l[COLS][2] = {}; // rows 2 (lane % 4) and the next
    // Functions: cheaper than registers.
    static __device__ __forceinline__ int g() { return threadIdx.x % 32 / 4; }
    static __device__ __forceinline__ int c() { return threadIdx.x % 4; }

    // A lane's pieces of 16 keys and values: of keys g and g + 8 bytes 16 c .. 16 c + 16 of every 64, of values 2 c, 2 c + 1,
    // 2 c + 8 and 2 c + 9 bytes 16 g .. 16 g + 16 of every 128.
    struct Pieces {
        uint4 k[2][CHUNKS], v[4][PIECES];
    };

    __device__ __forceinline__ DecodeWarp() {
#pragma unroll
        for (int col = 0; col < COLS; col++) m[col][0] = m[col][1] = NO_MAX;
    }

    __device__ __forceinline__ void load(const FlashAttnParams& p, const Tile& t) {
#pragma unroll
        for (int col = 0; col < COLS; col++) {
            const int n = t.first + 8 * col + g();
            const char* row = row_address(t, p.q, n < t.last ? n : t.first, DIM) + 16 * c();
#pragma unroll
            for (int i = 0; i < CHUNKS; i++) {
                q[col][i] = n >= t.last ? uint4{} : p.q_aligned ? fetch_16<true>(row + 64 * i) : fetch_16<false>(row + 64 * i);
            }
        }
    }

    // Products of the rows of `col` with 16 keys: s[i] is row 2 c + i % 2, key g + 8 (i / 2).
    __device__ __forceinline__ void multiply_keys(const Pieces& x, int col, float (&s)[4]) const {
        float other[4] = {}; // two sums at a time: a product waits for the one before it
#pragma unroll
        for (int n = 0; n < CHUNKS; n++) {
            const unsigned a0[4] = {x.k[0][n].x, x.k[1][n].x, x.k[0][n].y, x.k[1][n].y};
            const unsigned a1[4] = {x.k[0][n].z, x.k[1][n].z, x.k[0][n].w, x.k[1][n].w};
            mma_16816(T{}, s, a0, q[col][n].x, q[col][n].y);
            mma_16816(T{}, other, a1, q[col][n].z, q[col][n].w);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) s[i] += other[i];
    }

    // The largest scores of this lane.
    static __device__ __forceinline__ void high(const float (&s)[4], float (&high)[2]) {
        high[0] = fmaxf(high[0], fmaxf(s[0], s[2]));
        high[1] = fmaxf(high[1], fmaxf(s[1], s[3]));
    }

    // Lets m follow them.
    __device__ __forceinline__ void raise(const FlashAttnParams& p, int col, float (&high)[2]) {
        high[0] *= p.scale_log2, high[1] *= p.scale_log2;
        if (!__any_sync(ALL_LANES, high[0] > m[col][0] + SLACK || high[1] > m[col][1] + SLACK)) return;
#pragma unroll
        for (int i = 0; i < 2; i++) {
#pragma unroll
            for (int step = 4; step < 32; step *= 2) high[i] = fmaxf(high[i], __shfl_xor_sync(ALL_LANES, high[i], step));
            const float raised = fmaxf(m[col][i], high[i]), shrink = fast_exp2(m[col][i] - raised);
            m[col][i] = raised;
            l[col][i] *= shrink;
#pragma unroll
            for (int n = 0; n < DIM / 16; n++) o[col][n][i] *= shrink, o[col][n][2 + i] *= shrink;
        }
    }

    // Scores to weights 2^(z - m), and their sum.
    __device__ __forceinline__ void soften(const FlashAttnParams& p, int col, float (&s)[4]) {
#pragma unroll
        for (int i = 0; i < 4; i++) s[i] = fast_exp2(fmaf(s[i], p.scale_log2, -m[col][i & 1]));
        l[col][0] += s[0] + s[2];
        l[col][1] += s[1] + s[3];
    }

    // Adds the weighted values.
    __device__ __forceinline__ void multiply_values(const Pieces& x, int col, const float (&s)[4]) {
        const unsigned p0 = transpose_matrix(pair(T{}, s[0], s[1])), p1 = transpose_matrix(pair(T{}, s[2], s[3]));
#pragma unroll
        for (int n = 0; n < PIECES; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const unsigned w[4] = {word(x.v[0][n], i), word(x.v[1][n], i), word(x.v[2][n], i), word(x.v[3][n], i)};
                const unsigned a[4] = {__byte_perm(w[0], w[1], 0x5410), __byte_perm(w[0], w[1], 0x7632),
                                       __byte_perm(w[2], w[3], 0x5410), __byte_perm(w[2], w[3], 0x7632)};
                mma_16816(T{}, o[col][4 * n + i], a, p0, p1);
            }
        }
    }

    // Leaves the rows of `col` in o_of, and each row's (m, l) in ml_of[row].
    __device__ __forceinline__ void leave(int col, float* o_of, float2* ml_of) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
#pragma unroll
            for (int step = 4; step < 32; step *= 2) l[col][i] += __shfl_xor_sync(ALL_LANES, l[col][i], step);
            const int row = 2 * c() + i;
            if (g() == 0) ml_of[row] = make_float2(m[col][i], l[col][i]);
#pragma unroll
            for (int n = 0; n < DIM / 16; n += 2) { // elements 8 g + 2 (n % 4) and the next three of the n / 4th 64
                const float4 four = make_float4(o[col][n][i], o[col][n][2 + i], o[col][n + 1][i], o[col][n + 1][2 + i]);
                *(float4*)(o_of + place(row, n / 4 * 64 + 8 * g() + n % 4 * 2)) = four;
            }
        }
    }

    // Where `leave` puts element d of a row. Four rows that are stored at once lie in different banks.
    static __device__ __forceinline__ int place(int row, int d) {
        return row * DIM + (d ^ ((row >> 1 & 1) | (row >> 2 & 1) << 2) << 2);
    }

    static __device__ __forceinline__ unsigned word(const uint4& w, int i) {
        return i == 0 ? w.x : i == 1 ? w.y : i == 2 ? w.z : w.w;
    }
};
