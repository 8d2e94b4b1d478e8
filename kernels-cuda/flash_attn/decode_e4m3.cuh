// A warp's part of a decode over keys and values of e4m3: as decode_warp.cuh, half the bytes. They become f16 (narrow.cuh) on their
// way into the products, by the hardware. Scales of heads are multiplied into scores and into the result.
#pragma once
#include "decode_units_sm90.cuh"
#include "decode_warp.cuh"
#include "narrow.cuh"
#include "ptx/e4m3.cuh"

template <class Q, int DIM> struct E4m3Warp : DecodeWarp<MmaF16, DIM, 1> {
    using Base = DecodeWarp<MmaF16, DIM, 1>;
    static constexpr int PARTS = DIM / 64; // a lane's pieces of a key, and of a value
    static constexpr int VALUE_BYTES = 8;  // of such a piece
    static constexpr int STAGES_OF = 2;    // half the bytes, twice the units under way
    float scale[2];                        // of scores in rows 2 (lane % 4) and the next

    // Of keys g and g + 8 bytes 16 c .. 16 c + 16 of every 64, of values 2 c, 2 c + 1, 2 c + 8 and 2 c + 9 bytes 8 g .. 8 g + 8.
    struct Pieces {
        uint4 k[2][PARTS];
        uint2 v[4][PARTS];
    };

    template <bool ALIGNED> static __device__ __forceinline__ void fetch_key(Pieces& x, int half, const char* at) {
#pragma unroll
        for (int n = 0; n < PARTS; n++) x.k[half][n] = load_bytes<ALIGNED, uint4>(at + 64 * n);
    }
    template <bool ALIGNED> static __device__ __forceinline__ void fetch_value(Pieces& x, int row, const char* at) {
#pragma unroll
        for (int n = 0; n < PARTS; n++) x.v[row][n] = load_bytes<ALIGNED, uint2>(at + 64 * n);
    }

    // This lane's pieces of a row of queries.
    struct Query {
        uint4 raw[2 * PARTS];
    };

    template <bool ALIGNED> static __device__ __forceinline__ void ask_query(const char* row, Query& query) {
#pragma unroll
        for (int n = 0; n < 2 * PARTS; n++) {
            query.raw[n] = ask_16<ALIGNED>(row + 128 * (n / 2) + 32 * Base::c() + 16 * (n % 2));
        }
    }

    __device__ __forceinline__ void take_query(const Query& query, const float* k_scale) {
        float largest = 0.0f;
#pragma unroll
        for (int n = 0; n < 2 * PARTS; n++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float2 two = widen_pair(Q{}, Base::word(query.raw[n], j));
                largest = fmaxf(largest, fmaxf(fabsf(two.x), fabsf(two.y)));
            }
        }
#pragma unroll
        for (int step = 1; step < 4; step *= 2) largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, step));
        const RowPower power(largest);
#pragma unroll
        for (int n = 0; n < 2 * PARTS; n++) {
            unsigned w[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float2 two = widen_pair(Q{}, Base::word(query.raw[n], j));
                w[j] = pair(MmaF16{}, two.x * power.up, two.y * power.up);
            }
            Base::q[0][n] = make_uint4(w[0], w[1], w[2], w[3]);
        }
        const float keys = k_scale ? power.down * k_scale[blockIdx.y] : power.down;
#pragma unroll
        for (int i = 0; i < 2; i++) scale[i] = __shfl_sync(ALL_LANES, keys, 4 * (2 * Base::c() + i));
    }

    __device__ __forceinline__ void multiply_keys(const Pieces& x, int, float (&s)[4]) const {
        float other[4] = {};
#pragma unroll
        for (int n = 0; n < PARTS; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const unsigned first = Base::word(x.k[0][n], i), second = Base::word(x.k[1][n], i);
                const unsigned a[4] = {e4m3_pair_to_f16<0>(first), e4m3_pair_to_f16<0>(second), e4m3_pair_to_f16<1>(first),
                                       e4m3_pair_to_f16<1>(second)};
                const uint4& q = Base::q[0][2 * n + i / 2];
                mma_16816(MmaF16{}, i % 2 ? other : s, a, Base::word(q, 2 * (i % 2)), Base::word(q, 2 * (i % 2) + 1));
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) s[i] = (s[i] + other[i]) * scale[i & 1];
    }

    __device__ __forceinline__ void multiply_values(const Pieces& x, int, const float (&s)[4]) {
        const unsigned p0 = transpose_matrix(pair(MmaF16{}, s[0], s[1])), p1 = transpose_matrix(pair(MmaF16{}, s[2], s[3]));
#pragma unroll
        for (int n = 0; n < PARTS; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                // Bytes 2 i and 2 i + 1 of a pair of keys, side by side.
                const unsigned bytes = i % 2 ? 0x7362 : 0x5140;
                auto half = [&](int row) { return i / 2 ? x.v[row][n].y : x.v[row][n].x; };
                const unsigned low = __byte_perm(half(0), half(1), bytes), high = __byte_perm(half(2), half(3), bytes);
                const unsigned a[4] = {e4m3_pair_to_f16<0>(low), e4m3_pair_to_f16<1>(low), e4m3_pair_to_f16<0>(high),
                                       e4m3_pair_to_f16<1>(high)};
                mma_16816(MmaF16{}, Base::o[0][4 * n + i], a, p0, p1);
            }
        }
    }
};
