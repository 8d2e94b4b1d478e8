// A warp's part of a decode over keys and values of 16 bits: decode_warp.cuh, and its way to them.
#pragma once
#include "decode_units_sm90.cuh"
#include "decode_warp.cuh"

template <class T, int DIM> struct HalvesWarp : DecodeWarp<T, DIM, 1> {
    using Base = DecodeWarp<T, DIM, 1>;
    using Pieces = typename Base::Pieces;
    static constexpr int VALUE_BYTES = 16;                          // a lane's piece of a value
    static constexpr int STAGES_OF = DIM == 64 ? STAGES : 1;        // as registers allow

    template <bool ALIGNED> static __device__ __forceinline__ void fetch_key(Pieces& x, int half, const char* at) {
#pragma unroll
        for (int n = 0; n < Base::CHUNKS; n++) x.k[half][n] = load_bytes<ALIGNED, uint4>(at + 64 * n);
    }
    template <bool ALIGNED> static __device__ __forceinline__ void fetch_value(Pieces& x, int row, const char* at) {
#pragma unroll
        for (int n = 0; n < Base::PIECES; n++) x.v[row][n] = load_bytes<ALIGNED, uint4>(at + 128 * n);
    }

    // This lane's pieces of a row of queries.
    struct Query {
        uint4 raw[Base::CHUNKS];
    };

    template <bool ALIGNED> static __device__ __forceinline__ void ask_query(const char* row, Query& query) {
#pragma unroll
        for (int n = 0; n < Base::CHUNKS; n++) query.raw[n] = ask_16<ALIGNED>(row + 64 * n + 16 * Base::c());
    }
    __device__ __forceinline__ void take_query(const Query& query, const float*) {
#pragma unroll
        for (int n = 0; n < Base::CHUNKS; n++) Base::q[0][n] = query.raw[n];
    }
};
