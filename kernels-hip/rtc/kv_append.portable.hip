// Made of ../kernels-cuda/kv_append/sm75.cu by `cargo x kernels hip`. Do not edit.
#define WARPS 10
#undef __global__
#undef __device__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __align__
#undef __grid_constant__
#undef INFINITY
#undef threadIdx
#undef blockIdx
#undef gridDim
#define Index dropless_Index
#define __ballot_sync dropless___ballot_sync
#define __fdividef dropless___fdividef
#define __ffs dropless___ffs
#define __float_as_int dropless___float_as_int
#define __float_as_uint dropless___float_as_uint
#define __funnelshift_r dropless___funnelshift_r
#define __int_as_float dropless___int_as_float
#define __match_any_sync dropless___match_any_sync
#define __popc dropless___popc
#define __shfl_sync dropless___shfl_sync
#define __shfl_up_sync dropless___shfl_up_sync
#define __shfl_xor_sync dropless___shfl_xor_sync
#define __syncthreads dropless___syncthreads
#define __syncwarp dropless___syncwarp
#define __uint_as_float dropless___uint_as_float
#define atomicAdd dropless_atomicAdd
#define atomicOr dropless_atomicOr
#define exp2f dropless_exp2f
#define expf dropless_expf
#define float2 dropless_float2
#define float4 dropless_float4
#define fmaxf dropless_fmaxf
#define from_lane dropless_from_lane
#define int4 dropless_int4
#define log1pf dropless_log1pf
#define log2f dropless_log2f
#define logf dropless_logf
#define make_float4 dropless_make_float4
#define make_uint4 dropless_make_uint4
#define max dropless_max
#define min dropless_min
#define sqrtf dropless_sqrtf
#define uint4 dropless_uint4
#define wave_lane dropless_wave_lane
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(threads, ...) __attribute__((amdgpu_flat_work_group_size(threads, threads)))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __grid_constant__
#define INFINITY __builtin_inff()
struct Index {
    unsigned x, y;
};
#define threadIdx (Index{__builtin_amdgcn_workitem_id_x(), 0})
#define blockIdx (Index{__builtin_amdgcn_workgroup_id_x(), __builtin_amdgcn_workgroup_id_y()})
#define gridDim (Index{((const __attribute__((address_space(4))) unsigned*)__builtin_amdgcn_implicitarg_ptr())[0], 1})
struct __align__(8) float2 {
    float x, y;
};
struct __align__(16) float4 {
    float x, y, z, w;
};
struct __align__(16) uint4 {
    unsigned x, y, z, w;
};
struct __align__(16) int4 {
    int x, y, z, w;
};
__device__ __forceinline__ float2 make_float2(float x, float y) { return {x, y}; }
__device__ __forceinline__ float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
__device__ __forceinline__ uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
__device__ __forceinline__ unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
__device__ __forceinline__ int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
__device__ __forceinline__ float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }
__device__ __forceinline__ float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
template <class T> __device__ __forceinline__ T min(T a, T b) { return b < a ? b : a; }
template <class T> __device__ __forceinline__ T max(T a, T b) { return a < b ? b : a; }
__device__ __forceinline__ float fmaxf(float a, float b) { return __builtin_fmaxf(a, b); }
__device__ __forceinline__ float fminf(float a, float b) { return __builtin_fminf(a, b); }
__device__ __forceinline__ float fabsf(float x) { return __builtin_fabsf(x); }
__device__ __forceinline__ unsigned __float2uint_rn(float x) { return unsigned(__builtin_rintf(x)); }
__device__ __forceinline__ float sqrtf(float x) { return __builtin_sqrtf(x); }
__device__ __forceinline__ float expf(float x) { return __builtin_expf(x); }
__device__ __forceinline__ float exp2f(float x) { return __builtin_exp2f(x); }
__device__ __forceinline__ float logf(float x) { return __builtin_logf(x); }
__device__ __forceinline__ float log2f(float x) { return __builtin_log2f(x); }
__device__ __forceinline__ float __fdividef(float a, float b) { return a / b; }
__device__ __forceinline__ float log1pf(float x) {
    const float sum = 1.0f + x;
    return sum == 1.0f ? x : logf(sum) * (x / (sum - 1.0f));
}
template <class T> __device__ __forceinline__ T __ldg(const T* at) { return *at; }
__device__ __forceinline__ int __popc(unsigned x) { return __builtin_popcount(x); }
__device__ __forceinline__ int __ffs(unsigned x) { return __builtin_ffs(x); }
__device__ __forceinline__ unsigned __funnelshift_r(unsigned low, unsigned high, unsigned bits) {
    return __builtin_amdgcn_alignbit(high, low, bits);
}
__device__ __forceinline__ unsigned atomicOr(unsigned* at, unsigned bits) {
    return __hip_atomic_fetch_or(at, bits, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
__device__ __forceinline__ int atomicAdd(int* at, int more) {
    return __hip_atomic_fetch_add(at, more, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
__device__ __forceinline__ void __syncthreads() {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
__device__ __forceinline__ void __syncwarp() {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
    __builtin_amdgcn_wave_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}
__device__ __forceinline__ unsigned wave_lane() {
    return __builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0));
}
template <class T> __device__ __forceinline__ T from_lane(T value, unsigned lane) {
    if constexpr (sizeof(T) == 8) {
        const unsigned long long bits = __builtin_bit_cast(unsigned long long, value);
        const unsigned long long low = from_lane(unsigned(bits), lane), high = from_lane(unsigned(bits >> 32), lane);
        return __builtin_bit_cast(T, low | high << 32);
    } else {
        return __builtin_bit_cast(T, __builtin_amdgcn_ds_bpermute(int(lane << 2), __builtin_bit_cast(int, value)));
    }
}
template <class T> __device__ __forceinline__ T __shfl_sync(unsigned, T value, int lane) {
    return from_lane(value, (wave_lane() & ~31u) | (unsigned(lane) & 31));
}
template <class T> __device__ __forceinline__ T __shfl_xor_sync(unsigned, T value, int mask) {
    return from_lane(value, wave_lane() ^ unsigned(mask));
}
template <class T> __device__ __forceinline__ T __shfl_up_sync(unsigned, T value, unsigned below) {
    const unsigned lane = wave_lane();
    return from_lane(value, (lane & 31) < below ? lane : lane - below);
}
__device__ __forceinline__ unsigned __ballot_sync(unsigned, bool condition) {
#if defined(__GFX9__)
    return unsigned(__builtin_amdgcn_ballot_w64(condition) >> (wave_lane() & 32));
#else
    return __builtin_amdgcn_ballot_w32(condition);
#endif
}
__device__ __forceinline__ unsigned __match_any_sync(unsigned lanes, int value) {
    unsigned peers = __ballot_sync(lanes, true);
#pragma unroll 1
    for (int bit = 0; bit < 32; bit++) {
        const unsigned set = __ballot_sync(lanes, value >> bit & 1);
        peers &= value >> bit & 1 ? set : ~set;
    }
    return peers;
}
__device__ __forceinline__ float f16_to_f32(unsigned short bits) {
    return float(__builtin_bit_cast(_Float16, bits));
}
__device__ __forceinline__ unsigned short f32_to_f16(float value) {
    return __builtin_bit_cast(unsigned short, _Float16(value));
}
__device__ __forceinline__ float bf16_to_f32(unsigned short bits) { return __uint_as_float(unsigned(bits) << 16); }
__device__ __forceinline__ unsigned short f32_to_bf16(float value) {
    return __builtin_bit_cast(unsigned short, __bf16(value));
}
struct Rows {
    void* base;
    long long stride; // elements from one row to the next
    unsigned dtype;   // F32, BF16 or F16
    unsigned unused;
};
static_assert(sizeof(Rows) == 24, "mirrored in Rust");
constexpr unsigned F32 = 0, BF16 = 1, F16 = 2;
__device__ __forceinline__ unsigned element_bytes(const Rows& r) { return r.dtype == F32 ? 4 : 2; }
__device__ __forceinline__ char* address(const Rows& r, long long row, long long col) {
    return (char*)r.base + (row * r.stride + col) * element_bytes(r);
}
__device__ __forceinline__ bool aligned16(const void* p) { return ((unsigned long long)p & 15) == 0; }
__device__ __forceinline__ float widen(unsigned dtype, unsigned short bits) {
    return dtype == BF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}
__device__ __forceinline__ unsigned short narrow(unsigned dtype, float value) {
    return dtype == BF16 ? f32_to_bf16(value) : f32_to_f16(value);
}
__device__ __forceinline__ float rounded(unsigned dtype, float value) {
    return dtype == F32 ? value : widen(dtype, narrow(dtype, value));
}
__device__ __forceinline__ float load1(const Rows& r, long long row, long long col) {
    const char* at = address(r, row, col);
    return r.dtype == F32 ? *(const float*)at : widen(r.dtype, *(const unsigned short*)at);
}
__device__ __forceinline__ void store1(const Rows& r, long long row, long long col, float value) {
    char* at = address(r, row, col);
    if (r.dtype == F32) *(float*)at = value;
    else *(unsigned short*)at = narrow(r.dtype, value);
}
__device__ __forceinline__ void shift_in(float (&values)[8], float last) {
#pragma unroll
    for (int i = 0; i < 7; i++) values[i] = values[i + 1];
    values[7] = last;
}
__device__ __forceinline__ void load8(const Rows& r, long long row, long long col, long long count, float (&out)[8]) {
    const char* at = address(r, row, col);
    if (count >= 8 && aligned16(at)) {
        if (r.dtype == F32) {
            float4 low = ((const float4*)at)[0], high = ((const float4*)at)[1];
            out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
            out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
        } else {
            uint4 words = *(const uint4*)at;
            unsigned pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                out[2 * i] = widen(r.dtype, (unsigned short)pairs[i]);
                out[2 * i + 1] = widen(r.dtype, (unsigned short)(pairs[i] >> 16));
            }
        }
        return;
    }
#pragma unroll 1
    for (int i = 0; i < 8; i++) shift_in(out, i < count ? load1(r, row, col + i) : 0.0f);
}
__device__ __forceinline__ void store8(const Rows& r, long long row, long long col, long long count,
                                       float (&in)[8]) {
    char* at = address(r, row, col);
    if (count >= 8 && aligned16(at)) {
        if (r.dtype == F32) {
            ((float4*)at)[0] = make_float4(in[0], in[1], in[2], in[3]);
            ((float4*)at)[1] = make_float4(in[4], in[5], in[6], in[7]);
        } else {
            unsigned pairs[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                pairs[i] = narrow(r.dtype, in[2 * i]) | unsigned(narrow(r.dtype, in[2 * i + 1])) << 16;
            }
            *(uint4*)at = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
        }
        return;
    }
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        if (i < count) store1(r, row, col + i, in[0]);
        shift_in(in, in[0]); // eight shifts restore the order
    }
}
constexpr unsigned PACKED = 0, PAGED_NHD = 1, PAGED_HND = 2, PAGED_X_SPLIT = 3;
struct KvStore {
    long long slots;
    unsigned layout;
    int page_size; // 1 where packed
    int x;         // PAGED_X_SPLIT: elements kept together
    int heads, dim;
    unsigned unused;
};
static_assert(sizeof(KvStore) == 32, "mirrored in Rust");
struct KvPlace {
    long long row, col;
};
__device__ __forceinline__ KvPlace key_place(const KvStore& s, int slot, int head, int d) {
    const int page = slot / s.page_size;
    const long long n = slot % s.page_size;
    switch (s.layout) {
    case PAGED_HND: return {page, (head * (long long)s.page_size + n) * s.dim + d};
    case PAGED_X_SPLIT:
        return {page, ((head * (long long)(s.dim / s.x) + d / s.x) * s.page_size + n) * s.x + d % s.x};
    default: return {page, (n * s.heads + head) * s.dim + d};
    }
}
__device__ __forceinline__ KvPlace value_place(const KvStore& s, int slot, int head, int d) {
    if (s.layout != PAGED_X_SPLIT) return key_place(s, slot, head, d);
    return {slot / s.page_size, (head * (long long)s.dim + d) * s.page_size + slot % s.page_size};
}
__device__ __forceinline__ void load_key(const KvStore& s, const Rows& cache, int slot, int head, int d, int count,
                                         float (&out)[8]) {
    const int last = d + (count < 8 ? count : 8) - 1;
    if (s.layout != PAGED_X_SPLIT || d / s.x == last / s.x) {
        const KvPlace at = key_place(s, slot, head, d);
        load8(cache, at.row, at.col, count, out);
        return;
    }
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        const KvPlace at = key_place(s, slot, head, d + i);
        shift_in(out, i < count ? load1(cache, at.row, at.col) : 0.0f);
    }
}
constexpr unsigned FAULT_OFFSETS = 1 << 0, FAULT_ROW_INDEX = 1 << 1, FAULT_EXPERT_ID = 1 << 2, FAULT_PAGE = 1 << 3,
                   FAULT_LENGTH = 1 << 4, FAULT_TOKEN_ID = 1 << 5, FAULT_POSITION = 1 << 6, FAULT_SLOT = 1 << 7;
__device__ __forceinline__ void report(unsigned* status, unsigned fault) {
    if (status) atomicOr(status, fault);
}
struct Rotation {
    const float* cos; // [positions, half]
    const float* sin;
    int positions;
    int half;             // pairs of a head
    unsigned interleaved; // pairs (2i, 2i + 1); else (i, i + half)
    unsigned unused;
};
static_assert(sizeof(Rotation) == 32, "mirrored in Rust");
struct Pairs {
    float a[8], b[8];
};
__device__ __forceinline__ void deinterleave(const float (&low)[8], const float (&high)[8], Pairs& pairs) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        pairs.a[i] = low[2 * i], pairs.b[i] = low[2 * i + 1];
        pairs.a[i + 4] = high[2 * i], pairs.b[i + 4] = high[2 * i + 1];
    }
}
__device__ __forceinline__ void interleave(const Pairs& pairs, float (&low)[8], float (&high)[8]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        low[2 * i] = pairs.a[i], low[2 * i + 1] = pairs.b[i];
        high[2 * i] = pairs.a[i + 4], high[2 * i + 1] = pairs.b[i + 4];
    }
}
__device__ __forceinline__ void load_pairs(const Rotation& r, const Rows& x, long long row, long long head, int first,
                                           Pairs& pairs) {
    const int count = r.half - first;
    if (r.interleaved) {
        float low[8], high[8];
        load8(x, row, head + 2 * first, 2 * count, low);
        load8(x, row, head + 2 * first + 8, 2 * count - 8, high);
        deinterleave(low, high, pairs);
    } else {
        load8(x, row, head + first, count, pairs.a);
        load8(x, row, head + r.half + first, count, pairs.b);
    }
}
__device__ __forceinline__ void store_pairs(const Rotation& r, const Rows& y, long long row, long long head, int first,
                                            Pairs& pairs) {
    const int count = r.half - first;
    if (r.interleaved) {
        float low[8], high[8];
        interleave(pairs, low, high);
        store8(y, row, head + 2 * first, 2 * count, low);
        store8(y, row, head + 2 * first + 8, 2 * count - 8, high);
    } else {
        store8(y, row, head + first, count, pairs.a);
        store8(y, row, head + r.half + first, count, pairs.b);
    }
}
__device__ __forceinline__ void rotate(const Rotation& r, int position, int first, Pairs& pairs, unsigned* status) {
    const bool known = position >= 0 && position < r.positions;
    if (!known) report(status, FAULT_POSITION);
    const long long row = known ? (long long)position * r.half : 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const bool live = known && first + i < r.half;
        const float cos = live ? r.cos[row + first + i] : 0.0f, sin = live ? r.sin[row + first + i] : 0.0f;
        const float a = pairs.a[i], b = pairs.b[i];
        pairs.a[i] = live ? a * cos - b * sin : 0.0f; // not a * 0: it may be infinite
        pairs.b[i] = live ? b * cos + a * sin : 0.0f;
    }
}
struct KvAppendParams {
    Rows k, v, q, k_cache, v_cache, q_out;
    Rotation rotation;
    KvStore store;
    const int* positions;
    const int* slots;
    unsigned* status;
    long long tokens;
    int q_heads;
    unsigned unused;
};
static_assert(sizeof(KvAppendParams) == 248, "mirrored in Rust");
__device__ __forceinline__ void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_behind_loads(bool always) {
#if __CUDA_ARCH__ >= 900
    asm volatile("{ .reg .pred p; setp.eq.u32 p, %0, 0; @p bra over_%=; griddepcontrol.wait; over_%=: }" ::"r"(unsigned(always)) : "memory");
#endif
}
__device__ __forceinline__ void allow_successor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
struct Parts {
    int d[2], n[2];
};
__device__ __forceinline__ Parts parts_of(const Rotation& r, int first, bool apart) {
    const int count = r.half - first;
    if (apart) return {{first, r.half + first}, {count, count}};
    return {{2 * first, 2 * first + 8}, {2 * count, 2 * count - 8}};
}
__device__ __forceinline__ void rotate_parts(const Rotation& r, int position, int first, Pairs& x, unsigned* status) {
    if (!r.interleaved) {
        rotate(r, position, first, x, status);
        return;
    }
    Pairs pairs;
    deinterleave(x.a, x.b, pairs);
    rotate(r, position, first, pairs, status);
    interleave(pairs, x.a, x.b);
}
extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) kv_append(const __grid_constant__ KvAppendParams p) {
    allow_successor(); // the next one's weights come meanwhile
    wait_for_predecessor();
    const int chunks = (p.rotation.half + 7) / 8, dim = p.store.dim;
    const int items = (p.q_heads + 2 * p.store.heads) * chunks; // the chooser keeps it within an int
    for (long long t = blockIdx.x; t < p.tokens; t += gridDim.x) {
        const int position = p.positions[t], slot = p.slots[t];
        const bool kept = slot >= 0 && slot < p.store.slots;
        if (!kept && slot != -1 && threadIdx.x == 0) report(p.status, FAULT_SLOT);
        for (int item = threadIdx.x; item < items; item += 32 * WARPS) {
            const int all = item / chunks, first = item % chunks * 8;
            const bool query = all < p.q_heads, value = all >= p.q_heads + p.store.heads;
            if (!query && !kept) break;
            const int head = all - (query ? 0 : value ? p.q_heads + p.store.heads : p.q_heads);
            const Parts parts = parts_of(p.rotation, first, !value && !p.rotation.interleaved);
            const Rows from = query ? p.q : value ? p.v : p.k;
            Pairs x;
            load8(from, t, (long long)head * dim + parts.d[0], parts.n[0], x.a);
            load8(from, t, (long long)head * dim + parts.d[1], parts.n[1], x.b);
            if (!value) rotate_parts(p.rotation, position, first, x, p.status);
            const auto place = [&](int d) -> KvPlace {
                if (query) return {t, (long long)head * dim + d};
                return value ? value_place(p.store, slot, head, d) : key_place(p.store, slot, head, d);
            };
            const auto split = [&](int i) { return value || parts.d[i] / p.store.x != (parts.d[i] + 7) / p.store.x; };
            const Rows to = query ? p.q_out : value ? p.v_cache : p.k_cache;
            if (query || p.store.layout != PAGED_X_SPLIT || !(split(0) || split(1))) {
                const KvPlace low = place(parts.d[0]), high = place(parts.d[1]);
                store8(to, low.row, low.col, parts.n[0], x.a);
                store8(to, high.row, high.col, parts.n[1], x.b);
                continue;
            }
#pragma unroll 1
            for (int i = 0; i < 16; i++) {
                const KvPlace at = place((i < 8 ? parts.d[0] : parts.d[1]) + i % 8);
                if (i % 8 < (i < 8 ? parts.n[0] : parts.n[1])) store1(to, at.row, at.col, x.a[0]);
                shift_in(x.a, x.b[0]);
                shift_in(x.b, 0.0f);
            }
        }
    }
}
