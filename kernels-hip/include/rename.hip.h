// In front of the others where a compiler reads headers of its own first, as hipRTC and hipcc do: what words.hip.h defines gets names that
// these do not have.
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
