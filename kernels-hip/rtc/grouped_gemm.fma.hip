// Made of ../kernels-cuda/grouped_gemm/simt.cu by `cargo x kernels hip`. Do not edit.
#define WARPS 8
#define BLOCK_M 64
#define BLOCK_N 64
#define BLOCK_K 32
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
__device__ __forceinline__ float fast_exp2(float x) { return __builtin_amdgcn_exp2f(x); }
__device__ __forceinline__ float fast_reciprocal(float x) { return __builtin_amdgcn_rcpf(x); }
__device__ __forceinline__ float min_nan(float a, float b) { return a != a || a < b ? a : b; }
__device__ __forceinline__ float max_nan(float a, float b) { return a != a || a > b ? a : b; }
constexpr float LOG2_E = 1.4426950408889634f;
struct SwigluUnit {
    float alpha;
    float limit; // infinity: none
    float up_offset;
    unsigned halves; // gate in the first half of the columns; else gate and up alternate
};
static_assert(sizeof(SwigluUnit) == 16, "mirrored in Rust");
__device__ __forceinline__ float at_most(float x, float limit) { return x > limit ? limit : x; }
__device__ __forceinline__ float swiglu(const SwigluUnit& unit, float gate, float up) {
    const float g = at_most(gate, unit.limit);
    const float u = -at_most(-at_most(up, unit.limit), unit.limit);
    return g / (1.0f + expf(-unit.alpha * g)) * (u + unit.up_offset);
}
__device__ __forceinline__ float fast_swiglu(const SwigluUnit& unit, float gate, float up) {
    const float g = min_nan(gate, unit.limit), u = max_nan(min_nan(up, unit.limit), -unit.limit);
    return g * fast_reciprocal(1.0f + fast_exp2(-unit.alpha * LOG2_E * g)) * (u + unit.up_offset);
}
constexpr unsigned DENSE = 0, MXFP4 = 1, MXFP4_GGUF = 2, MXFP4_TILED = 3;
struct GroupedGemmParams {
    Rows a, w, bias;     // w: [local * N, K] where dense, else bytes; bias: base 0 where there is none
    Rows d;              // [R, N']; scratch where `out` is made of it: [splits * R, N' (N if splits > 1)]
    Rows out;            // [T, N'] with a combine, [R, N'] where K is split without one
    const unsigned char* w_scales;
    const int* offsets;  // null: all rows are expert 0's
    const int* row_index;
    const int* row_of;
    const float* combine_weight;
    unsigned* status;
    long long w_expert_bytes; // MXFP4_TILED: bytes of one expert
    long long input_rows;
    SwigluUnit unit;
    int experts, local_first, local_count;
    int rows, n, k;
    int divide;          // of row_index; 0: no gather
    int tokens, top_k;   // of the combine; top_k 0: none
    unsigned format;
    unsigned gated;
    int splits;          // of K: part s of row r is row s * R + r of `d`, not gated yet
    unsigned a_aligned, w_aligned; // every row (block) starts at a multiple of 16 bytes
};
static_assert(sizeof(GroupedGemmParams) == 256, "mirrored in Rust");
__device__ __forceinline__ int weight_row(const GroupedGemmParams& p, int c) {
    return p.gated && p.unit.halves ? c % 2 * (p.n / 2) + c / 2 : c;
}
__device__ __forceinline__ long long input_row(const GroupedGemmParams& p, int r) {
    if (!p.divide) return r;
    const int index = p.row_index[r];
    if (index >= 0 && index / p.divide < p.input_rows) return index / p.divide;
    report(p.status, FAULT_ROW_INDEX);
    return -1;
}
struct Tile {
    int expert, first, last;
};
__device__ __forceinline__ Tile find_tile(const GroupedGemmParams& p, int index) {
    if (!p.offsets) {
        const int first = index * BLOCK_M;
        return {first < p.rows ? 0 : -1, first, min(first + BLOCK_M, p.rows)};
    }
    const int lane = threadIdx.x % 32;
    int end = 0, tiles = 0; // of the experts so far
    for (int at = 0; at < p.experts; at += 32) {
        const int e = min(at + lane, p.experts - 1);
        const int start = running_max(max(end, clamped(p.offsets[e], p.rows)));
        const int stop = max(start, clamped(p.offsets[e + 1], p.rows));
        const int own = at + lane < p.experts ? (stop - start + BLOCK_M - 1) / BLOCK_M : 0;
        const int sum = tiles + running_sum(own);
        const unsigned found = __ballot_sync(ALL_LANES, sum > index);
        if (found) {
            const int lane_found = __ffs(found) - 1;
            const int first = __shfl_sync(ALL_LANES, start + (index - (sum - own)) * BLOCK_M, lane_found);
            return {at + lane_found, first, min(first + BLOCK_M, __shfl_sync(ALL_LANES, stop, lane_found))};
        }
        end = __shfl_sync(ALL_LANES, stop, 31);
        tiles = __shfl_sync(ALL_LANES, sum, 31);
    }
    return {-1, 0, 0};
}
__device__ __forceinline__ void finished8(const GroupedGemmParams& p, int r, int col, int width, float (&y)[8]) {
    if (p.splits == 1) {
        load8(p.d, r, col, width - col, y);
        return;
    }
    float low[8] = {}, high[8] = {};
    for (int s = 0; s < p.splits; s++) {
        const long long row = (long long)s * p.rows + r;
        float part[8];
        load8(p.d, row, p.gated ? 2 * col : col, p.gated ? p.n - 2 * col : width - col, part);
#pragma unroll
        for (int i = 0; i < 8; i++) low[i] += part[i];
        if (!p.gated) continue;
        load8(p.d, row, 2 * col + 8, p.n - 2 * col - 8, part);
#pragma unroll
        for (int i = 0; i < 8; i++) high[i] += part[i];
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const float* pair = i < 4 ? &low[2 * i] : &high[2 * i - 8];
        y[i] = p.gated ? swiglu(p.unit, pair[0], pair[1]) : low[i];
    }
}
__device__ __forceinline__ void finish_rows(const GroupedGemmParams& p) {
    __shared__ int owned[2], local[2];
    if (threadIdx.x < 32) {
        const int index[4] = {0, p.experts, p.local_first, p.local_first + p.local_count};
        int at[4] = {0, p.rows, 0, p.rows};
        if (p.offsets) offsets_at(p.offsets, index, p.rows, at);
        owned[0] = at[0], owned[1] = at[1];
        local[0] = at[2], local[1] = p.local_count == 0 ? at[2] : at[3];
    }
    __syncthreads();
    const int width = p.gated ? p.n / 2 : p.n, per_row = (width + 7) / 8;
    const bool whole = p.splits == 1 && width % 8 == 0 && local[0] < local[1];
    const long long rows = p.top_k ? p.tokens : p.rows, threads = 32 * WARPS;
    for (long long i = blockIdx.x * threads + threadIdx.x; i < rows * per_row; i += gridDim.x * threads) {
        const long long t = i / per_row;
        const int col = int(i % per_row) * 8;
        if (!p.top_k && (t < owned[0] || t >= owned[1])) continue;
        float sum[8] = {};
        if (!p.top_k && t >= local[0] && t < local[1]) finished8(p, int(t), col, width, sum);
        const auto row_of = [&](int j) {
            const int row = p.row_of[t * p.top_k + j];
            if (row != -1 && (row < 0 || row >= p.rows)) report(p.status, FAULT_ROW_INDEX);
            return row >= local[0] && row < local[1] ? row : -1;
        };
        int j = 0;
        for (; whole && j + 4 <= p.top_k; j += 4) {
            int row[4];
            float4 y[4][2];
#pragma unroll
            for (int i = 0; i < 4; i++) row[i] = row_of(j + i);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float4* from = (const float4*)((const float*)p.d.base + (long long)max(row[i], local[0]) * width + col);
                y[i][0] = from[0], y[i][1] = from[1];
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (row[i] < 0) continue;
                const float weight = p.combine_weight[t * p.top_k + j + i];
                sum[0] += weight * y[i][0].x, sum[1] += weight * y[i][0].y, sum[2] += weight * y[i][0].z;
                sum[3] += weight * y[i][0].w, sum[4] += weight * y[i][1].x, sum[5] += weight * y[i][1].y;
                sum[6] += weight * y[i][1].z, sum[7] += weight * y[i][1].w;
            }
        }
        for (; j < p.top_k; j++) {
            const int row = row_of(j);
            if (row < 0) continue;
            const float weight = p.combine_weight[t * p.top_k + j];
            float y[8];
            finished8(p, row, col, width, y);
#pragma unroll
            for (int c = 0; c < 8; c++) sum[c] += weight * y[c];
        }
        store8(p.out, t, col, width - col, sum);
    }
}
constexpr float E2M1_UNIT = 0x1p8f;
constexpr float E2M1_SCALED_UNIT = 0x1p2f;
__device__ __forceinline__ float e2m1(unsigned code) {
    return __uint_as_float((code & 8) << 28 | (code & 7) << 22) * (0x1p126f / E2M1_UNIT);
}
__device__ __forceinline__ float e8m0(unsigned byte) {
    if (byte == 255) return __uint_as_float(0x7fffffff);
    return __uint_as_float(byte == 0 ? 0x00400000 : byte << 23);
}
__device__ __forceinline__ void openai8(const unsigned char* row, int k, float (&out)[8]) {
    const unsigned word = *(const unsigned*)(row + k / 2);
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = e2m1(word >> 4 * i & 15);
}
__device__ __forceinline__ void gguf8(const unsigned char* block, int k, float (&out)[8]) {
    const int j = k % 32;
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = e2m1(block[1 + j % 16 + i] >> (j < 16 ? 0 : 4) & 15);
}
constexpr int TILE_ROWS = 16, TILE_K = 64, TILE_CODES = 512, TILE_BYTES = 544;
__device__ __forceinline__ int tile_scales(int g) { return TILE_CODES + 4 * g; }
template <int I>
__device__ __forceinline__ unsigned tile_pair(unsigned word) {
    constexpr unsigned MASK = 0x81c081c0;
    if constexpr (I == 3) return (word & 0x001b001b) * 4228 & MASK; // no carries
    return __funnelshift_r(word, word, 3 * I) & MASK;
}
__device__ __forceinline__ void tiled8(const unsigned char* tile, int r, int k, float (&out)[8]) {
    const unsigned char* words = tile + r % 8 * 64 + k % TILE_K / 16 * 4;
    const int high = k % 16 / 8;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const unsigned word = *(const unsigned*)(words + i * 16);
        const unsigned pair = r < 8 ? (high ? tile_pair<2>(word) : tile_pair<0>(word))
                                    : (high ? tile_pair<3>(word) : tile_pair<1>(word));
        out[2 * i] = __uint_as_float(pair << 16) * (0x1p126f / E2M1_UNIT);
        out[2 * i + 1] = __uint_as_float(pair & 0xffff0000) * (0x1p126f / E2M1_UNIT);
    }
}
__device__ __forceinline__ const unsigned char* weight_bytes(const GroupedGemmParams& p, int expert, int n, int k) {
    const unsigned char* w = (const unsigned char*)p.w.base;
    const long long row = (long long)expert * p.n + n, blocks = p.k / 32;
    switch (p.format) {
    case MXFP4: return w + row * blocks * 16;
    case MXFP4_GGUF: return w + (row * blocks + k / 32) * 17;
    default: {
        const long long tile = (long long)(n / TILE_ROWS) * ((p.k + TILE_K - 1) / TILE_K) + k / TILE_K;
        return w + expert * p.w_expert_bytes + tile * TILE_BYTES;
    }
    }
}
__device__ __forceinline__ void load_weights(const GroupedGemmParams& p, int expert, int n, int k, float (&out)[8]) {
    if (p.format == DENSE) {
        load8(p.w, (long long)expert * p.n + n, k, p.k - k, out);
        return;
    }
    if (k >= p.k) {
#pragma unroll
        for (int i = 0; i < 8; i++) out[i] = 0.0f;
        return;
    }
    const unsigned char* at = weight_bytes(p, expert, n, k);
    if (p.format == MXFP4) openai8(at, k, out);
    else if (p.format == MXFP4_GGUF) gguf8(at, k, out);
    else tiled8(at, n % TILE_ROWS, k, out);
}
__device__ __forceinline__ float load_scale(const GroupedGemmParams& p, int expert, int n, int k) {
    if (p.format == DENSE) return 1.0f;
    if (p.format == MXFP4) return e8m0(p.w_scales[((long long)expert * p.n + n) * (p.k / 32) + k / 32]);
    const unsigned char* at = weight_bytes(p, expert, n, k);
    if (p.format == MXFP4_GGUF) return e8m0(at[0]);
    return e8m0(at[tile_scales(n % 8) + n % TILE_ROWS / 8 * 2 + k % TILE_K / 32]);
}
static_assert(BLOCK_K == 32, "one block of MXFP4: its sum is scaled as a whole");
static_assert(BLOCK_M * 4 == 32 * WARPS && BLOCK_N * 4 == 32 * WARPS, "a thread loads 8 of a row's 32 elements");
static_assert(BLOCK_M * BLOCK_N == 16 * 32 * WARPS, "a thread owns 4 x 4 results");
extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_gemm(const __grid_constant__ GroupedGemmParams p) {
    __shared__ Tile tile;
    __shared__ float a_tile[BLOCK_K][BLOCK_M + 4], w_tile[BLOCK_K][BLOCK_N + 4], scales[BLOCK_N];
    if (threadIdx.x < 32) {
        const Tile found = find_tile(p, blockIdx.x);
        if (threadIdx.x == 0) tile = found;
        const bool first = blockIdx.x == 0 && blockIdx.y == 0;
        if (first && p.offsets) check_offsets(p.offsets, p.experts + 1, p.rows, p.status);
    }
    __syncthreads();
    if (tile.expert < 0) return;
    const int expert = tile.expert - p.local_first;
    const bool local = expert >= 0 && expert < p.local_count;
    if (!local && p.top_k) return; // the combine leaves them out
    const int load_row = threadIdx.x / 4, load_k = threadIdx.x % 4 * 8;
    const int c_load = blockIdx.y * BLOCK_N + load_row, r_load = tile.first + load_row;
    const long long a_row = local && r_load < tile.last ? input_row(p, r_load) : -1;
    const int m = threadIdx.x / (BLOCK_N / 4) * 4, n = threadIdx.x % (BLOCK_N / 4) * 4;
    float sum[4][4] = {};
    for (int k = 0; local && k < p.k; k += BLOCK_K) {
        float a[8] = {}, w[8] = {};
        if (a_row >= 0) load8(p.a, a_row, k + load_k, p.k - k - load_k, a);
        if (c_load < p.n) {
            load_weights(p, expert, weight_row(p, c_load), k + load_k, w);
            if (load_k == 0) scales[load_row] = load_scale(p, expert, weight_row(p, c_load), k);
        }
#pragma unroll
        for (int i = 0; i < 8; i++) a_tile[load_k + i][load_row] = a[i], w_tile[load_k + i][load_row] = w[i];
        __syncthreads();
        float block[4][4] = {};
#pragma unroll
        for (int i = 0; i < BLOCK_K; i++) {
            const float4 x = *(const float4*)&a_tile[i][m], y = *(const float4*)&w_tile[i][n];
            const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
            for (int r = 0; r < 4; r++) {
#pragma unroll
                for (int c = 0; c < 4; c++) block[r][c] += xs[r] * ys[c];
            }
        }
#pragma unroll
        for (int r = 0; r < 4; r++) {
#pragma unroll
            for (int c = 0; c < 4; c++) sum[r][c] += block[r][c] * scales[n + c];
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        if (tile.first + m + r >= tile.last) break;
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int col = blockIdx.y * BLOCK_N + n + c;
            if (p.format != DENSE) sum[r][c] *= E2M1_UNIT;
            if (local && p.bias.base && col < p.n) sum[r][c] += load1(p.bias, expert, weight_row(p, col));
        }
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int col = blockIdx.y * BLOCK_N + n + c;
            if (col >= p.n) break;
            if (!p.gated) store1(p.d, tile.first + m + r, col, sum[r][c]);
            else if (c % 2 == 0) {
                store1(p.d, tile.first + m + r, col / 2, local ? swiglu(p.unit, sum[r][c], sum[r][c + 1]) : 0.0f);
            }
        }
    }
}
extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
