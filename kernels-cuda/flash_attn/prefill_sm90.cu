// Many query rows: bound by the tensor cores, and nearly as much by the exponentials. A persistent block takes tiles of BLOCK_M
// rows, those that see the most keys first. One warpgroup finds tiles and copies (queries by cp.async, keys and values by the
// copy engine into a ring of STAGES); the others multiply with wgmma, 64 rows each.
//
// Roofs of 4096 causal queries, 64 heads of 64 over 8 key heads, on an H200: 137 GFLOP at 790 TFLOP/s are 174 us, 75 MB at
// 4657 GB/s are 16 us; 2.1 G exponentials at 132 x 16 a clock of 1.75 GHz are 145 us.
#include "prefill_copy_sm90.cuh"
#include "prefill_rows_sm90.cuh"
#include "ptx/overlap.cuh"

template <class T> __device__ __forceinline__ void prefill(const PrefillParams& params) {
    extern __shared__ __align__(128) unsigned char shared[];
    const Memory m(shared);
    wait_for_predecessor();
    const int warp = threadIdx.x / 32;
    if (threadIdx.x == 0) {
        Shared& s = *m.s;
        for (int i = 0; i < 2; i++) {
            barrier_init(shared_address(&s.q_full[i]), 1 + 2 * 32); // queries; who fetched and who described them
            barrier_init(shared_address(&s.job_full[i]), 1);
            barrier_init(shared_address(&s.q_empty[i]), 32 * (4 * GROUPS + 2)); // all but who finds tiles
            s.again[i] = 0;
        }
        for (int i = 0; i < STAGES; i++) {
            barrier_init(shared_address(&s.k_full[i]), 1);
            barrier_init(shared_address(&s.v_full[i]), 1);
            barrier_init(shared_address(&s.k_empty[i]), 4 * GROUPS);
            barrier_init(shared_address(&s.v_empty[i]), 4 * GROUPS);
        }
        barrier_init_fence();
    }
    __syncthreads();
    if (warp >= 4 * GROUPS) {
        give_registers<GIVEN>();
        if (warp == 4 * GROUPS) find_and_fetch(params, m);
        if (warp == 4 * GROUPS + 1) stream_keys(params, m);
        if (warp == 4 * GROUPS + 2) describe_tiles(params.p, m);
        if (warp == 4 * GROUPS + 3) check_sequences(params.p);
    } else {
        take_registers<TAKEN>();
        multiply<T>(params, m);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) prefill_bf16(const __grid_constant__ PrefillParams params) {
    prefill<MmaBf16>(params);
}
extern "C" __global__ void __launch_bounds__(THREADS, 1) prefill_f16(const __grid_constant__ PrefillParams params) {
    prefill<MmaF16>(params);
}
