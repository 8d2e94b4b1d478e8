// Made of ../kernels-cuda/moe/dispatch_one_block.cu by `cargo x kernels hip`. Do not edit.
#define WARPS 8
#define BLOCK_M 64
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
constexpr int MAX_EXPERTS = 512, LANES = 32;
constexpr unsigned SOFTMAX_AFTER = 0, SOFTMAX_BEFORE = 1, SOFTMAX_BEFORE_RENORMALIZED = 2;
struct Route {
    Rows logits;
    int* topk_idx;
    float* topk_weight;
    long long tokens;
    int experts, top_k;
    unsigned score;
    unsigned unused;
};
static_assert(sizeof(Route) == 64, "mirrored in Rust");
struct Range {
    int first, last;
};
__device__ __forceinline__ Range warp_tokens(int tokens) {
    const int own = __shfl_sync(ALL_LANES, threadIdx.x / LANES, 0);
    const int warps = gridDim.x * WARPS, warp = blockIdx.x * WARPS + own;
    const int each = tokens / warps, more = tokens % warps;
    const int first = warp * each + min(warp, more);
    return {first, first + each + (warp < more ? 1 : 0)};
}
__device__ __forceinline__ unsigned rank_of(float logit) {
    const unsigned bits = __float_as_uint(logit + 0.0f);
    const unsigned rank = bits ^ (unsigned(int(bits) >> 31) | 0x80000000u);
    return logit != logit ? 1 : rank;
}
__device__ __forceinline__ float logit_of(unsigned rank) {
    if (rank == 1) return -INFINITY; // what a NaN counts as
    return __uint_as_float(rank >> 31 ? rank & 0x7fffffffu : ~rank);
}
template <int SHARE>
__device__ __forceinline__ unsigned shared_max(unsigned value) {
    if constexpr (SHARE == LANES) {
        return warp_max(value);
    } else {
#pragma unroll
        for (int step = SHARE / 2; step > 0; step /= 2) value = max(value, __shfl_xor_sync(ALL_LANES, value, step));
        return value;
    }
}
template <int SHARE>
__device__ __forceinline__ float shared_sum(float value) {
#pragma unroll
    for (int step = SHARE / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}
template <int SHARE, int OWN>
struct Token {
    unsigned ranks[OWN];
    float top, logit; // of the best; of the lane's choice: lane j's is the j-th
    int expert;
    const int own = threadIdx.x % SHARE;
    __device__ __forceinline__ Token(const Route& r, int t) : expert(0) {
        const char* row = address(r.logits, t, 0);
        const bool wide = r.logits.dtype == F32;
        float logits[OWN];
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            const int e = min(c * SHARE + own, r.experts - 1);
            logits[c] = wide ? ((const float*)row)[e] : __uint_as_float(((const unsigned short*)row)[e]);
        }
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            const unsigned short bits = (unsigned short)__float_as_uint(logits[c]);
            const float bf16 = bf16_to_f32(bits), f16 = f16_to_f32(bits);
            const float value = wide ? logits[c] : r.logits.dtype == BF16 ? bf16 : f16;
            ranks[c] = c * SHARE + own < r.experts ? rank_of(value) : 0;
        }
    }
    __device__ __forceinline__ void take(int j) {
        unsigned local = ranks[0];
#pragma unroll
        for (int c = 1; c < OWN; c++) local = max(local, ranks[c]);
        const unsigned best = shared_max<SHARE>(local);
        unsigned lowest = 0;
#pragma unroll
        for (int c = OWN - 1; c >= 0; c--) {
            if (ranks[c] == best) lowest = MAX_EXPERTS - (c * SHARE + own);
        }
        const int taken = MAX_EXPERTS - int(shared_max<SHARE>(lowest));
#pragma unroll
        for (int c = 0; c < OWN; c++) {
            if (c * SHARE + own == taken) ranks[c] = 0;
        }
        if (j == 0) top = logit_of(best);
        if (own == j) expert = taken, logit = logit_of(best);
    }
};
template <int SHARE>
__device__ __forceinline__ float sum_of_all(const Route& r, int t, float top) {
    float sum = 0.0f;
#pragma unroll 1
    for (int e = threadIdx.x % SHARE; e < r.experts; e += SHARE) {
        sum += expf(logit_of(rank_of(load1(r.logits, t, e))) - top);
    }
    return shared_sum<SHARE>(sum);
}
template <int SHARE, int OWN, class Chosen>
__device__ __forceinline__ void route_by(const Route& r, Range tokens, Chosen chosen) {
#pragma unroll 1
    for (int at = tokens.first; at < tokens.last; at += LANES / SHARE) {
        const int t = at + threadIdx.x % LANES / SHARE, read = min(t, tokens.last - 1);
        Token<SHARE, OWN> token(r, read);
#pragma unroll 1
        for (int j = 0; j < r.top_k; j++) token.take(j);
        const bool has = token.own < r.top_k;
        const float weight = has ? expf(token.logit - token.top) : 0.0f;
        const bool all = r.score == SOFTMAX_BEFORE;
        const float sum = all ? sum_of_all<SHARE>(r, read, token.top) : shared_sum<SHARE>(weight);
        if (has && t < tokens.last) {
            const int assignment = t * r.top_k + token.own;
            r.topk_idx[assignment] = token.expert;
            r.topk_weight[assignment] = __fdividef(weight, sum); // the sum is 1 to 512, or NaN
            chosen(assignment, token.expert);
        }
    }
}
template <class Chosen>
__device__ __forceinline__ void route_tokens(const Route& r, Range tokens, Chosen chosen) {
    const bool one = tokens.last - tokens.first == 1;
    if (one && r.experts <= LANES) route_by<32, 1>(r, tokens, chosen);
    else if (one && r.experts <= 4 * LANES) route_by<32, 4>(r, tokens, chosen);
    else if (r.experts <= 4 * 8 && r.top_k <= 4) route_by<4, 8>(r, tokens, chosen);
    else if (r.experts <= 8 * 8 && r.top_k <= 8) route_by<8, 8>(r, tokens, chosen);
    else if (r.experts <= 16 * 8) route_by<16, 8>(r, tokens, chosen);
    else if (r.experts <= 32 * 8) route_by<32, 8>(r, tokens, chosen);
    else route_by<32, 16>(r, tokens, chosen);
}
constexpr int THREADS = 32 * WARPS, BUCKETS = MAX_EXPERTS + 1;
constexpr int OWN_BUCKETS = (BUCKETS + THREADS - 1) / THREADS; // neighbouring ones of a thread
struct Sort {
    const int* topk_idx;
    int* expert_count;
    int* expert_offset;
    int* sorted_assignment;
    int* assignment_to_row;
    unsigned* status;
    int* block_counts; // scratch [experts + 1, blocks], of the two-launch form
    int assignments, experts;
};
static_assert(sizeof(Sort) == 64, "mirrored in Rust");
extern __shared__ int histograms[];
__device__ __forceinline__ int* histogram_of(const Sort& s, int warp) { return histograms + warp * (s.experts + 1); }
__device__ __forceinline__ int bucket_of(const Sort& s, int id) {
    return unsigned(id) < unsigned(s.experts) ? id : s.experts;
}
__device__ __forceinline__ int load_bucket(const Sort& s, int at, int last) {
    const int a = at + threadIdx.x % LANES;
    return a < last ? bucket_of(s, s.topk_idx[a]) : -1;
}
__device__ __forceinline__ void clear_histogram(const Sort& s, int* histogram) {
#pragma unroll 1
    for (int e = threadIdx.x % LANES; e <= s.experts; e += LANES) histogram[e] = 0;
    __syncwarp();
}
__device__ __forceinline__ void count_assignments(const Sort& s, Range range, int* histogram) {
    for (int at = range.first; at < range.last; at += LANES) {
        const int bucket = load_bucket(s, at, range.last);
        if (bucket >= 0) atomicAdd(&histogram[bucket], 1);
    }
}
struct Own {
    int total[OWN_BUCKETS];    // of the whole grid
    int in_front[OWN_BUCKETS]; // in blocks before this one
};
__device__ __forceinline__ int own_bucket(int i) { return threadIdx.x * OWN_BUCKETS + i; }
__device__ __forceinline__ int scan_warps(const Sort& s, int bucket) {
    int counts[WARPS];
#pragma unroll
    for (int w = 0; w < WARPS; w++) counts[w] = histogram_of(s, w)[bucket];
    int sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
        histogram_of(s, w)[bucket] = sum;
        sum += counts[w];
    }
    return sum;
}
__device__ __forceinline__ void scan_buckets(const Sort& s, const Own& own, int* start, bool stores) {
    __shared__ int warp_totals[WARPS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    int thread_total = 0;
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) thread_total += own.total[i];
    int offset = running_sum(thread_total);
    if (lane == LANES - 1) warp_totals[warp] = offset;
    __syncthreads();
    offset -= thread_total;
    for (int w = 0; w < warp; w++) offset += warp_totals[w];
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        const int e = own_bucket(i);
        if (e <= s.experts) {
            start[e] = offset + own.in_front[i];
            if (stores) s.expert_offset[e] = offset;
            if (stores && e < s.experts) s.expert_count[e] = own.total[i];
            if (stores && e == s.experts && own.total[i] > 0) report(s.status, FAULT_EXPERT_ID);
        }
        offset += own.total[i];
    }
    __syncthreads();
}
__device__ __forceinline__ void place_assignments(const Sort& s, Range range, int first, const int* start, int* next) {
    const unsigned below = (1u << threadIdx.x % LANES) - 1;
    for (int at = range.first; at < range.last; at += LANES) {
        const int bucket = at == range.first ? first : load_bucket(s, at, range.last);
        const unsigned peers = __match_any_sync(ALL_LANES, bucket);
        const int in_front = __popc(peers & below);
        const int row = bucket >= 0 ? start[bucket] + next[bucket] + in_front : 0;
        __syncwarp(); // all peers have read before the first of them writes
        if (bucket >= 0 && in_front == 0) next[bucket] += __popc(peers);
        if (bucket >= 0) {
            s.sorted_assignment[row] = at + threadIdx.x % LANES;
            s.assignment_to_row[at + threadIdx.x % LANES] = row;
        }
        __syncwarp();
    }
}
struct Dispatch {
    Route route;
    Sort sort;
    unsigned with_route; // else topk_idx is there already
    unsigned unused;
};
static_assert(sizeof(Dispatch) == 136, "mirrored in Rust");
struct Choices {
    int *counts, *kept;
    int begin, many;
    __device__ __forceinline__ void operator()(int assignment, int expert) const {
        if (counts) atomicAdd(&counts[expert], 1);
        if (assignment - begin < many) kept[assignment - begin] = expert;
    }
};
struct Counted {
    Range range;
    int* histogram;
    int first;
    __device__ __forceinline__ Counted(const Dispatch& d, bool route, int* all = nullptr, int many = 0) {
        __shared__ int firsts[WARPS][LANES];
        const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
        const Range tokens = warp_tokens(int(d.route.tokens));
        range = {tokens.first * d.route.top_k, tokens.last * d.route.top_k};
        histogram = histogram_of(d.sort, warp);
        first = -1;
        if (!all) clear_histogram(d.sort, histogram);
        if (route) {
            const Choices choices = {all ? nullptr : histogram, all ? all : firsts[warp], all ? 0 : range.first,
                                     all ? many : LANES};
            route_tokens(d.route, tokens, choices);
            __syncwarp();
            if (!all && range.first + lane < range.last) first = firsts[warp][lane];
        } else if (all) {
            for (int a = range.first + lane; a < range.last; a += LANES) all[a] = bucket_of(d.sort, d.sort.topk_idx[a]);
        } else {
            count_assignments(d.sort, range, histogram);
            first = load_bucket(d.sort, range.first, range.last);
        }
        __syncthreads();
    }
};
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
constexpr int FEW = 64, NOWHERE = 0x7fffffff;
__device__ __forceinline__ void place_few(const Sort& s, const int* buckets) {
    const auto count = [&](int bucket, int before, int& below, int& same) {
        below = same = 0;
#pragma unroll 2
        for (int i = 0; i < s.assignments; i += 4) {
            const int4 four = *(const int4*)&buckets[i];
            below += (four.x < bucket) + (four.y < bucket) + (four.z < bucket) + (four.w < bucket);
            same += (four.x == bucket && i < before) + (four.y == bucket && i + 1 < before) +
                    (four.z == bucket && i + 2 < before) + (four.w == bucket && i + 3 < before);
        }
    };
    int below, same;
    for (int e = threadIdx.x; e <= s.experts; e += THREADS) {
        count(e, FEW, below, same);
        s.expert_offset[e] = below;
        if (e < s.experts) s.expert_count[e] = same;
        else if (same > 0) report(s.status, FAULT_EXPERT_ID);
    }
    const int a = THREADS - 1 - threadIdx.x; // the first threads have experts
    if (a < s.assignments) {
        count(buckets[a], a, below, same);
        s.sorted_assignment[below + same] = a;
        s.assignment_to_row[a] = below + same;
    }
}
extern "C" __global__ void __launch_bounds__(32 * WARPS, 1) moe_dispatch(const __grid_constant__ Dispatch d) {
    __shared__ int start[BUCKETS];
    __shared__ __align__(16) int all[FEW];
    static_assert(FEW <= THREADS, "a thread an assignment");
    wait_for_predecessor();
    allow_successor();
    const bool few = d.sort.assignments <= FEW;
    if (threadIdx.x < FEW && threadIdx.x >= d.sort.assignments) all[threadIdx.x] = NOWHERE;
    const Counted own(d, d.with_route, few ? all : nullptr, FEW);
    if (few) {
        place_few(d.sort, all);
        return;
    }
    Own buckets = {};
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        if (own_bucket(i) <= d.sort.experts) buckets.total[i] = scan_warps(d.sort, own_bucket(i));
    }
    scan_buckets(d.sort, buckets, start, true);
    place_assignments(d.sort, own.range, own.first, start, own.histogram);
}
