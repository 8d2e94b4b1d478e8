// Over a warp and over a block: sums always in the same order.
#pragma once

constexpr unsigned ALL_LANES = 0xffffffff;

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

// Largest of a warp's lanes, in all of them; of 32-bit integers, one instruction from sm_80 on.
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

// Sum, and largest, of a lane's value and those of the lanes before it.
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

// `partial` holds one float a warp and may be used again right after.
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
