// Made of ../kernels-cuda/flash_attn/simt_scaled.cu by `cargo x kernels hip`. Do not edit.
#define WARPS 4
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
__device__ __forceinline__ float e4m3_to_f32(unsigned code) {
    const float magnitude = __uint_as_float((code & 0x7f) << 20) * 0x1p120f;
    return (code & 0x7f) == 0x7f ? __uint_as_float(0x7fffffff) : code & 0x80 ? -magnitude : magnitude;
}
__device__ __forceinline__ unsigned char f32_to_e4m3(float value) {
    if (value != value) return 0x7f;
    const float magnitude = fminf(fabsf(value), 448.0f);
    unsigned code;
    if (magnitude < 0x1p-6f) {
        code = __float2uint_rn(magnitude * 512.0f);
    } else {
        const unsigned word = __float_as_uint(magnitude);
        code = ((word + 0x7ffff + (word >> 20 & 1)) >> 20) - (120 << 3);
    }
    return code | __float_as_uint(value) >> 31 << 7;
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
constexpr unsigned CU_SEQLENS = 0, START_LEN = 1, BLOCK_TABLE = 2, INDPTR = 3;
constexpr unsigned LSE_NONE = 0, LSE_WITH_SINK = 1, LSE_WITHOUT_SINK = 2;
struct FlashAttnParams {
    Rows q, k, v, out;
    Rows sinks; // base 0: none
    KvStore store;
    const int* cu_seqlens_q;
    const int* k_first;     // cu_seqlens_k, k_start or kv_indptr
    const int* k_len;       // k_len or kv_last_page_len
    const int* pages;       // block_table or kv_indices
    long long pages_stride; // of block_table
    float* lse;
    unsigned* status;
    long long window;       // keys seen in all, up to 2^31 - 1; 0: no window
    int sequences, q_tokens, max_q_len, max_k_len;
    int q_heads, page_limit; // page_limit: columns of block_table, entries of kv_indices
    int page_count;          // pages of the cache
    unsigned index, causal, lse_kind;
    float sm_scale;
    float scale_log2;   // sm_scale * log2(e)
    float* partial;     // scratch: what splits leave to be combined
    int splits, tiles;  // shares of a sequence's keys; tiles of query rows in the longest sequence
    long long k_page, v_page;
    unsigned k_token, v_token;
    unsigned head_bytes, page_shift;
    unsigned q_aligned, kv_aligned, out_aligned; // to 16 bytes, everywhere
    int group;          // q_heads of a key head
};
static_assert(sizeof(FlashAttnParams) == 328, "mirrored in Rust");
constexpr unsigned E4M3 = 3;
struct ScaledParams {
    FlashAttnParams p;
    const float *k_scale, *v_scale; // of each key head; null: 1
};
static_assert(sizeof(ScaledParams) == 344, "mirrored in Rust");
constexpr unsigned FAULT_OFFSETS = 1 << 0, FAULT_ROW_INDEX = 1 << 1, FAULT_EXPERT_ID = 1 << 2, FAULT_PAGE = 1 << 3,
                   FAULT_LENGTH = 1 << 4, FAULT_TOKEN_ID = 1 << 5, FAULT_POSITION = 1 << 6, FAULT_SLOT = 1 << 7;
__device__ __forceinline__ void report(unsigned* status, unsigned fault) {
    if (status) atomicOr(status, fault);
}
constexpr unsigned ALL_LANES = 0xffffffff;
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}
template <class Integer>
__device__ __forceinline__ Integer warp_max(Integer value) {
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(ALL_LANES, value);
#else
#pragma unroll
    for (int step = 16; step > 0; step /= 2) value = max(value, __shfl_xor_sync(ALL_LANES, value, step));
    return value;
#endif
}
__device__ __forceinline__ int running_sum(int value) {
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const int below = __shfl_up_sync(ALL_LANES, value, step);
        if (threadIdx.x % 32 >= step) value += below;
    }
    return value;
}
__device__ __forceinline__ int running_max(int value) {
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const int below = __shfl_up_sync(ALL_LANES, value, step);
        if (threadIdx.x % 32 >= step) value = max(value, below);
    }
    return value;
}
template <int WARP_COUNT>
__device__ __forceinline__ float block_sum(float value, float (&partial)[WARP_COUNT]) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < WARP_COUNT; i++) sum += partial[i];
    __syncthreads();
    return sum;
}
__device__ __forceinline__ int clamped(int raw, int upper) { return min(max(raw, 0), upper); }
__device__ __forceinline__ int offset_at(const int* raw, int index, int upper) {
    int most = 0;
    for (int i = threadIdx.x % 32; i <= index; i += 32) most = max(most, clamped(raw[i], upper));
#pragma unroll
    for (int step = 16; step > 0; step /= 2) most = max(most, __shfl_xor_sync(ALL_LANES, most, step));
    return most;
}
template <int COUNT>
__device__ __forceinline__ void offsets_at(const int* raw, const int (&index)[COUNT], int upper, int (&out)[COUNT]) {
    int last = 0;
#pragma unroll
    for (int c = 0; c < COUNT; c++) last = max(last, index[c]), out[c] = 0;
    for (int at = threadIdx.x % 32; at <= last; at += 128) {
        int values[4];
#pragma unroll
        for (int i = 0; i < 4; i++) values[i] = at + 32 * i <= last ? raw[at + 32 * i] : 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int c = 0; c < COUNT; c++) {
                if (at + 32 * i <= index[c]) out[c] = max(out[c], clamped(values[i], upper));
            }
        }
    }
#pragma unroll
    for (int c = 0; c < COUNT; c++) {
#pragma unroll
        for (int step = 16; step > 0; step /= 2) out[c] = max(out[c], __shfl_xor_sync(ALL_LANES, out[c], step));
    }
}
template <class Size>
__device__ __forceinline__ void begins(int count, int* out, Size size) {
    const int lane = threadIdx.x % 32;
    int before = 0;
    for (int at = 0; at < count; at += 32) {
        const int i = at + lane, own = i < count ? size(i) : 0, sum = running_sum(own);
        if (i < count) out[i] = before + sum - own;
        before += __shfl_sync(ALL_LANES, sum, 31);
    }
    if (lane == 0) out[count] = before;
}
__device__ __forceinline__ void read_offsets(const int* raw, int groups, int upper, int* out) {
    const int lane = threadIdx.x % 32;
    int before = 0;
    for (int at = 0; at <= groups; at += 32) {
        const int i = at + lane;
        int most = i > groups ? 0 : raw ? clamped(raw[i], upper) : i == 0 ? 0 : upper;
        most = max(running_max(most), before);
        if (i <= groups) out[i] = most;
        before = __shfl_sync(ALL_LANES, most, 31);
    }
}
__device__ __forceinline__ int owner_of(const int* raw, int groups, int row, int upper) {
    for (int at = 0; at <= groups; at += 32) {
        const int i = at + threadIdx.x % 32;
        const unsigned above = __ballot_sync(ALL_LANES, i <= groups && clamped(raw[min(i, groups)], upper) > row);
        if (above) return at + __ffs(above) - 2;
    }
    return groups;
}
__device__ __forceinline__ void check_offsets(const int* raw, int count, int upper, unsigned* status) {
    for (int i = threadIdx.x % 32; i < count; i += 32) {
        const int before = i > 0 ? raw[i - 1] : 0;
        if (raw[i] < max(before, 0) || raw[i] > upper) report(status, FAULT_OFFSETS);
    }
}
struct Sequence {
    int id;
    int q_first, q_len;
    int k_first; // slot, or entry of kv_indices
    int k_len;
};
__device__ __forceinline__ int limited(long long value, long long least, long long most, unsigned fault,
                                       unsigned* status) {
    const long long kept = max(min(value, most), least);
    if (kept != value && threadIdx.x % 32 == 0) report(status, fault);
    return int(kept);
}
struct OffsetPair {
    int most = 0, next = 0; // of this lane
    __device__ __forceinline__ void fetch(const int* raw, int index, int upper) {
        const int lane = threadIdx.x % 32;
        next = clamped(raw[index + 1], upper);
        const int low = lane <= index ? raw[lane] : 0, high = lane + 32 <= index ? raw[lane + 32] : 0;
        most = max(clamped(low, upper), clamped(high, upper));
#pragma unroll 1
        for (int i = lane + 64; i <= index; i += 32) most = max(most, clamped(raw[i], upper));
    }
    __device__ __forceinline__ int first() const { return warp_max(most); }
    __device__ __forceinline__ int last(int first) const { return max(first, next); }
};
__device__ __forceinline__ Sequence sequence(const FlashAttnParams& p, int s, unsigned* status) {
    Sequence out;
    out.id = s;
    const long long slots = p.store.slots, page_size = p.store.page_size;
    OffsetPair q, k;
    const int raw_len = p.index == CU_SEQLENS ? 0 : p.k_len[s], raw_first = p.index == START_LEN ? p.k_first[s] : 0;
    q.fetch(p.cu_seqlens_q, s, p.q_tokens);
    if (p.index == CU_SEQLENS || p.index == INDPTR) {
        k.fetch(p.k_first, s, p.index == CU_SEQLENS ? int(slots) : p.page_limit);
    }
    out.q_first = q.first();
    out.q_len = limited(q.last(out.q_first) - out.q_first, 0, p.max_q_len, FAULT_LENGTH, status);
    long long len = raw_len, most = p.max_k_len;
    switch (p.index) {
    case CU_SEQLENS:
        out.k_first = k.first();
        len = k.last(out.k_first) - out.k_first;
        break;
    case START_LEN:
        out.k_first = limited(raw_first, 0, slots, FAULT_OFFSETS, status);
        most = min(most, slots - out.k_first);
        break;
    case BLOCK_TABLE:
        out.k_first = 0;
        most = min(most, p.page_limit * page_size);
        break;
    default: {
        out.k_first = k.first();
        const long long pages = k.last(out.k_first) - out.k_first;
        len = pages == 0 ? 0 : (pages - 1) * page_size + limited(raw_len, 1, page_size, FAULT_LENGTH, status);
    }
    }
    out.k_len = limited(len, 0, most, FAULT_LENGTH, status);
    return out;
}
__device__ __forceinline__ int page_of(const FlashAttnParams& p, const Sequence& s, int nth) {
    const int page = p.index == BLOCK_TABLE ? p.pages[s.id * p.pages_stride + nth] : p.pages[s.k_first + nth];
    if (page >= 0 && page < p.page_count) return page;
    report(p.status, FAULT_PAGE);
    return -1;
}
__device__ __forceinline__ int slot_of(const FlashAttnParams& p, const Sequence& s, int j) {
    if (p.index == CU_SEQLENS || p.index == START_LEN) return s.k_first + j;
    const int page = page_of(p, s, j / p.store.page_size);
    return page < 0 ? -1 : page * p.store.page_size + j % p.store.page_size;
}
__device__ __forceinline__ void check_all_offsets(const FlashAttnParams& p) {
    check_offsets(p.cu_seqlens_q, p.sequences + 1, p.q_tokens, p.status);
    if (p.index == CU_SEQLENS) check_offsets(p.k_first, p.sequences + 1, int(p.store.slots), p.status);
    if (p.index == INDPTR) check_offsets(p.k_first, p.sequences + 1, p.page_limit, p.status);
}
__device__ __forceinline__ void check_sequences(const FlashAttnParams& p) {
    if (blockIdx.x == 0) check_all_offsets(p);
    for (int s = blockIdx.x; s < p.sequences; s += gridDim.x) sequence(p, s, p.status);
}
constexpr int MAX_DIM = 256, LANES = 32, EACH = MAX_DIM / LANES;
struct Partial {
    float max, sum, out[EACH];
};
__device__ __forceinline__ float weight_of(float z, float max) { return expf(z - (max == -INFINITY ? 0.0f : max)); }
__device__ __forceinline__ float log_add_exp(float a, float b) {
    const float more = a > b ? a : b, less = a > b ? b : a;
    return less == -INFINITY ? more : more + log1pf(expf(less - more));
}
template <class Cache>
__device__ __forceinline__ void attend(const FlashAttnParams& p, const Cache& cache, const Sequence& s, int kv_head, const float* q,
                                       int first, int last, Partial& acc) {
    const int lane = threadIdx.x % LANES, dim = p.store.dim;
    for (int at = first + threadIdx.x / LANES * LANES; at < last; at += LANES * WARPS) {
        const int slot = at + lane < last ? slot_of(p, s, at + lane) : -1;
        float z = 0.0f;
        for (int d = 0; slot >= 0 && d < dim; d += 8) {
            float k[8];
            cache.key(p, slot, kv_head, d, dim - d, k);
#pragma unroll
            for (int i = 0; i < 8; i++) z += q[d + i] * k[i]; // q is padded with zeros
        }
        z = slot >= 0 ? cache.score(z * p.sm_scale, kv_head) : -INFINITY;
        float max = fmaxf(acc.max, z); // a NaN is no maximum
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(ALL_LANES, max, step));
        const float weight = slot >= 0 ? weight_of(z, max) : 0.0f, before = weight_of(acc.max, max);
        acc.max = max;
        acc.sum = acc.sum * before + warp_sum(weight);
#pragma unroll
        for (int i = 0; i < EACH; i++) acc.out[i] *= before;
        for (int j = 0; j < min(LANES, last - at); j++) {
            const int place = __shfl_sync(ALL_LANES, slot, j);
            const float w = __shfl_sync(ALL_LANES, weight, j);
            if (place < 0) continue; // uniform; what is not visible is not read
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                if (i * LANES + lane >= dim) break;
                acc.out[i] += w * cache.value(p, value_place(p.store, place, kv_head, i * LANES + lane));
            }
        }
    }
}
template <class Cache> __device__ __forceinline__ void flash_attn_rows(const FlashAttnParams& p, const Cache& cache) {
    __shared__ Sequence s;
    __shared__ float q[MAX_DIM], maxima[WARPS], sums[WARPS], outs[WARPS][MAX_DIM];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, dim = p.store.dim;
    if (warp == 0) check_sequences(p);
    const long long items = (long long)p.q_tokens * p.q_heads;
    for (long long item = blockIdx.x; item < items; item += gridDim.x) {
        const int row = int(item / p.q_heads), head = int(item % p.q_heads);
        __syncthreads(); // the last item is done with the shared memory
        if (warp == 0) {
            const int owner = owner_of(p.cu_seqlens_q, p.sequences, row, p.q_tokens);
            const bool owned = owner >= 0 && owner < p.sequences;
            const Sequence found = owned ? sequence(p, owner, nullptr) : Sequence{};
            if (lane == 0) s = found;
        }
        for (int d = threadIdx.x; d < MAX_DIM; d += 32 * WARPS) {
            q[d] = d < dim ? load1(p.q, row, (long long)head * dim + d) : 0.0f;
        }
        __syncthreads();
        const int r = row - s.q_first;
        if (r >= s.q_len) continue; // nobody's row, uniform in the block
        const long long position = (long long)s.k_len - s.q_len + r;
        const long long end = p.causal ? min(max(position + 1, 0ll), (long long)s.k_len) : s.k_len;
        const long long begin = p.window ? min(max(position + 1 - p.window, 0ll), end) : 0;
        const int kv_head = head / (p.q_heads / p.store.heads);
        Partial acc = {-INFINITY, 0.0f, {}};
        attend(p, cache, s, kv_head, q, int(begin), int(end), acc);
        if (lane == 0) maxima[warp] = acc.max, sums[warp] = acc.sum;
#pragma unroll
        for (int i = 0; i < EACH; i++) outs[warp][i * LANES + lane] = acc.out[i];
        __syncthreads();
        float max = -INFINITY, sum = 0.0f;
        for (int w = 0; w < WARPS; w++) max = fmaxf(max, maxima[w]);
        for (int w = 0; w < WARPS; w++) sum += sums[w] * weight_of(maxima[w], max);
        const float sink = p.sinks.base ? load1(p.sinks, 0, head) : -INFINITY;
        const float total = sum + (p.sinks.base ? expf(sink - max) : 0.0f);
        for (int d = threadIdx.x; d < dim; d += 32 * WARPS) {
            float out = 0.0f;
            for (int w = 0; w < WARPS; w++) out += outs[w][d] * weight_of(maxima[w], max);
            store1(p.out, row, (long long)head * dim + d, sum == 0.0f ? 0.0f : cache.result(out / total, kv_head));
        }
        if (threadIdx.x == 0 && p.lse_kind != LSE_NONE) {
            const float keys = sum == 0.0f ? -INFINITY : max + logf(sum);
            p.lse[item] = p.lse_kind == LSE_WITH_SINK && p.sinks.base ? log_add_exp(keys, sink) : keys;
        }
    }
}
struct ScaledCache {
    const float *k_scale, *v_scale;
    static __device__ __forceinline__ float load(const Rows& rows, KvPlace at) {
        if (rows.dtype != E4M3) return load1(rows, at.row, at.col);
        return e4m3_to_f32(((const unsigned char*)rows.base)[at.row * rows.stride + at.col]);
    }
    __device__ __forceinline__ void key(const FlashAttnParams& p, int slot, int head, int d, int count, float (&out)[8]) const {
#pragma unroll 1
        for (int i = 0; i < 8; i++) shift_in(out, i < count ? load(p.k, key_place(p.store, slot, head, d + i)) : 0.0f);
    }
    __device__ __forceinline__ float value(const FlashAttnParams& p, KvPlace at) const { return load(p.v, at); }
    __device__ __forceinline__ float score(float z, int head) const { return k_scale ? z * k_scale[head] : z; }
    __device__ __forceinline__ float result(float x, int head) const { return v_scale ? x * v_scale[head] : x; }
};
extern "C" __global__ void __launch_bounds__(32 * WARPS) flash_attn(const __grid_constant__ ScaledParams x) {
    flash_attn_rows(x.p, ScaledCache{x.k_scale, x.v_scale});
}
