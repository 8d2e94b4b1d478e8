// Made of ../kernels-cuda/rms_norm/sm75.cu by `cargo x kernels hip`. Do not edit.
#define WARPS 12
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
struct RmsNormParams {
    Rows x, residual, weight, sum, y;
    long long rows, dim;
    float eps;
    unsigned with_residual;
};
static_assert(sizeof(RmsNormParams) == 144, "mirrored in Rust");
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
extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) rms_norm(const __grid_constant__ RmsNormParams p) {
    __shared__ float partial[WARPS];
    const long long first = threadIdx.x * 8, step = 32 * WARPS * 8;
    allow_successor(); // the next one's weights come meanwhile
    wait_for_predecessor();
    float s[8], weight[8];
    for (long long row = blockIdx.x; row < p.rows; row += gridDim.x) {
        float squares = 0.0f;
        for (long long col = first; col < p.dim; col += step) {
            load8(p.x, row, col, p.dim - col, s);
            load8(p.weight, 0, col, p.dim - col, weight); // under way while the others' sums are waited for
            if (p.with_residual) {
                float add[8];
                load8(p.residual, row, col, p.dim - col, add);
#pragma unroll
                for (int i = 0; i < 8; i++) s[i] = rounded(p.x.dtype, s[i] + add[i]);
                store8(p.sum, row, col, p.dim - col, s);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) squares += s[i] * s[i];
        }
        const float scale = 1.0f / sqrtf(block_sum<WARPS>(squares, partial) / float(p.dim) + p.eps);
        const Rows& s_rows = p.with_residual ? p.sum : p.x;
        for (long long col = first; col < p.dim; col += step) {
            if (p.dim > step) {
                load8(s_rows, row, col, p.dim - col, s);
                load8(p.weight, 0, col, p.dim - col, weight);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) s[i] = s[i] * scale * weight[i];
            store8(p.y, row, col, p.dim - col, s);
        }
    }
}
