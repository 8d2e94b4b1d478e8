// y[r] = x[sorted_assignment[r] / k], bit for bit. One block a row.
#include "faults.cuh"
#include "rows.cuh"

// Mirrors `Permute` in src/backend/params/moe.rs.
struct Permute {
    Rows x, y;
    const int* sorted_assignment;
    unsigned* status;
    long long dim;
    int assignments, top_k;
};
static_assert(sizeof(Permute) == 80, "mirrored in Rust");

// Bytes at + i * sizeof(T), or zeros; the block's threads side by side.
template <class T>
__device__ __forceinline__ void copy_row(char* to, const char* from, long long bytes, bool zero) {
    for (long long i = threadIdx.x; i < bytes / (long long)sizeof(T); i += 32 * WARPS) {
        ((T*)to)[i] = zero ? T{} : ((const T*)from)[i];
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) moe_permute(const __grid_constant__ Permute p) {
    const long long bytes = p.dim * element_bytes(p.x);
    for (long long row = blockIdx.x; row < p.assignments; row += gridDim.x) {
        const int a = p.sorted_assignment[row];
        const bool stray = a < 0 || a >= p.assignments;
        if (stray && threadIdx.x == 0) report(p.status, FAULT_ROW_INDEX);
        char* to = address(p.y, row, 0);
        const char* from = address(p.x, stray ? 0 : a / p.top_k, 0);
        if (bytes % 16 == 0 && aligned16(to) && aligned16(from)) copy_row<uint4>(to, from, bytes, stray);
        else copy_row<unsigned short>(to, from, bytes, stray);
    }
}
