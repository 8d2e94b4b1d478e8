// Many query rows, keys and values of e4m3, with scales of their heads or without. They are widened on their way into the ring, which
// no copy engine does: loads wait for memory there, and only the other block of a multiprocessor hides it.
#include "narrow.cuh"
#include "prefill_sm80.cuh"
#include "scaled.cuh"

template <class Q, int DIM> struct NarrowWarp : Warp<MmaF16, DIM, TILES_OF<DIM>> {
    static constexpr int TILES = TILES_OF<DIM>;
    using Base = Warp<MmaF16, DIM, TILES>;
    float scale[TILES][2]; // of a row's scores

    // The base loads words as they are; a row is four lanes'.
    __device__ __forceinline__ NarrowWarp(const FlashAttnParams& p, const Tile& t, const ScaledParams& x) : Base(p, t) {
        const float keys = x.k_scale ? x.k_scale[t.kv_head] : 1.0f;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float largest = 0.0f;
                auto word = [&](int k) -> unsigned& { return Base::q[tile][k / 2][i + 2 * (k % 2)]; };
#pragma unroll
                for (int k = 0; k < DIM / 8; k++) {
                    const float2 two = widen_pair(Q{}, word(k));
                    largest = fmaxf(largest, fmaxf(fabsf(two.x), fabsf(two.y)));
                }
#pragma unroll
                for (int step = 1; step < 4; step *= 2) largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, step));
                const RowPower power(largest);
#pragma unroll
                for (int k = 0; k < DIM / 8; k++) {
                    const float2 two = widen_pair(Q{}, word(k));
                    word(k) = pair(MmaF16{}, two.x * power.up, two.y * power.up);
                }
                scale[tile][i] = power.down * keys;
            }
        }
    }

    __device__ __forceinline__ void multiply_keys(unsigned keys, float (&s)[TILES][EIGHTS][4]) const {
        Base::multiply_keys(keys, s);
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int n = 0; n < EIGHTS; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) s[tile][n][i] *= scale[tile][i / 2];
            }
        }
    }

    __device__ __forceinline__ void store(const FlashAttnParams& p, const Tile& t, const ScaledParams& x) {
        const float values = x.v_scale ? x.v_scale[t.kv_head] : 1.0f;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) Base::o[tile][n][i] *= values;
            }
        }
        Base::store(p, t);
    }
};

// Eight codes, from any address where not ALIGNED.
template <bool ALIGNED> __device__ __forceinline__ uint2 fetch_codes(const char* at) {
    if constexpr (ALIGNED) return __ldg((const uint2*)at);
    uint2 w = {};
#pragma unroll 1
    for (int i = 0; i < 8; i++) w = {w.x >> 8 | w.y << 24, w.y >> 8 | unsigned((unsigned char)at[i]) << 24};
    return w;
}

template <int DIM> struct NarrowRing : Ring<DIM> {
    using Base = Ring<DIM>;

    static __device__ __forceinline__ KvHead head_of(const FlashAttnParams& p, const Tile& t) {
        KvHead head(p, t.s, t.kv_head);
        const long long first = p.store.layout == PACKED ? t.s.k_first : 0, bytes = (long long)t.kv_head * p.head_bytes;
        head.k = (const char*)p.k.base + first * p.k.stride + bytes, head.v = (const char*)p.v.base + first * p.v.stride + bytes;
        return head;
    }

    // As the base's.
    __device__ __forceinline__ void copy(const FlashAttnParams& p, const Tile& t, int first, int stage) {
#pragma unroll
        for (int i = 0; i < Base::ROUNDS; i++) {
            const int r = Base::row + i * Base::ROWS_AT_ONCE, j = first + r, page = Base::pages[i];
            const bool there = j >= t.some.first && j < t.some.last && page >= 0;
            const Eight eight = Base::head.eight(p, there ? page : 0, j / 8);
            const char *k = eight.k + (unsigned long long)p.k_token * (j & 7) + 8 * Base::piece;
            const char *v = eight.v + (unsigned long long)p.v_token * (j & 7) + 8 * Base::piece;
            auto codes = [&](const char* at) { return !there ? uint2{} : p.kv_aligned ? fetch_codes<true>(at) : fetch_codes<false>(at); };
            const uint2 key = codes(k), value = codes(v);
            const unsigned to = Base::place(r, Base::piece);
            store_shared_128(Base::keys(stage) + to, widen_codes(key));
            store_shared_128(Base::values(stage) + to, widen_codes(value));
            if (Base::piece == 0 && r % 8 == 0) {
                const bool some = j + 8 > t.some.first && j < t.some.last;
                Base::missing[stage * EIGHTS + r / 8] = some && page < 0;
            }
        }
    }
};

#define PREFILL(NAME, T, DIM)                                                                                          \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, 2) NAME(const __grid_constant__ ScaledParams x) {         \
        prefill<NarrowWarp<T, DIM>, NarrowRing<DIM>, DIM>(x.p, x);                                                     \
    }
PREFILL(prefill_bf16_64, MmaBf16, 64)
PREFILL(prefill_bf16_128, MmaBf16, 128)
PREFILL(prefill_f16_64, MmaF16, 64)
PREFILL(prefill_f16_128, MmaF16, 128)
