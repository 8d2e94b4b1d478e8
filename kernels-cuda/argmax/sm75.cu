// ids[r] = the lowest index of the largest element of row r, -1 where the row holds NaN or +inf. A block takes a part of a
// row; then a block takes the parts of a row.
#include "params.cuh"
#include "reduce.cuh"

constexpr int THREADS = 32 * WARPS;
constexpr unsigned long long NONE = ~0ull; // above every finite value's key

// Ascends with the value and, among equal ones, descends with the index.
__device__ __forceinline__ unsigned long long key(float value, long long index) {
    if (!(value < __int_as_float(0x7f800000))) return NONE;
    const int bits = __float_as_int(value + 0.0f); // -0 is 0
    const unsigned order = bits < 0 ? ~bits : bits | 0x80000000u;
    return (unsigned long long)order << 32 | ~unsigned(index);
}

__device__ __forceinline__ unsigned long long block_max(unsigned long long best) {
    __shared__ unsigned long long partial[WARPS];
#pragma unroll
    for (int step = 16; step > 0; step /= 2) best = max(best, __shfl_xor_sync(ALL_LANES, best, step));
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = best;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < WARPS; i++) best = max(best, partial[i]);
    __syncthreads();
    return best;
}

extern "C" __global__ void __launch_bounds__(THREADS) argmax_parts(const __grid_constant__ ArgmaxParams p) {
    const long long length = ((p.columns + p.parts - 1) / p.parts + 7) / 8 * 8;
    for (long long item = blockIdx.x; item < p.rows * p.parts; item += gridDim.x) {
        const long long row = item / p.parts, begin = item % p.parts * length, end = min(p.columns, begin + length);
        unsigned long long best = 0;
        for (long long col = begin + threadIdx.x * 8; col < end; col += THREADS * 8) {
            float value[8];
            load8(p.x, row, col, end - col, value);
#pragma unroll
            for (int i = 0; i < 8; i++) {
                if (col + i < end) best = max(best, key(value[i], col + i));
            }
        }
        best = block_max(best);
        if (threadIdx.x == 0) p.partial[item] = best;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) argmax_rows(const __grid_constant__ ArgmaxParams p) {
    for (long long row = blockIdx.x; row < p.rows; row += gridDim.x) {
        unsigned long long best = 0;
        for (long long part = threadIdx.x; part < p.parts; part += THREADS) {
            best = max(best, p.partial[row * p.parts + part]);
        }
        best = block_max(best);
        if (threadIdx.x == 0) p.ids[row] = best == NONE ? -1 : int(~unsigned(best));
    }
}
