// Many query rows with a short window: a warpgroup's 64 rows see BLOCK_N keys at most, so scores are final when they are multiplied,
// without maxima that follow. A persistent block takes tiles of BLOCK_M rows; STAGES warps fetch them with their keys ahead.
//
// Roofs of 16384 queries, 64 heads of 64 over 8 key heads, a window of 128, on an H200: 335 MB at 4657 GB/s are 72 us, 38.7 GFLOP (of
// 144 keys) at 790 TFLOP/s are 49 us; 151 M exponentials at 132 x 16 a clock of 1.75 GHz are 41 us.
#include "ptx/overlap.cuh"
#include "window_copy_sm90.cuh"
#include "window_rows_sm90.cuh"

template <class T> __device__ __forceinline__ void attend_window(const PrefillParams& params) {
    extern __shared__ __align__(128) unsigned char shared[];
    const Memory m(shared);
    wait_for_predecessor();
    const int warp = threadIdx.x / 32;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(shared_address(&m.s->k_full[i]), 2 + 32); // queries; keys; what is said of the tile
            barrier_init(shared_address(&m.s->v_full[i]), 1 + 32); // values; sinks
            barrier_init(shared_address(&m.s->empty[i]), 128 * GROUPS);
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (warp >= 4 * GROUPS) {
        give_registers<GIVEN>();
        if (warp < 4 * GROUPS + STAGES) find_and_fetch(params, m, warp - 4 * GROUPS);
        else check_sequences(params.p);
    } else {
        take_registers<TAKEN>();
        multiply<T>(params, m);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) window_bf16(const __grid_constant__ PrefillParams params) {
    attend_window<MmaBf16>(params);
}
extern "C" __global__ void __launch_bounds__(THREADS, 1) window_f16(const __grid_constant__ PrefillParams params) {
    attend_window<MmaF16>(params);
}
