// A linear layer on few rows, dense weights, tensor cores: bound by reading the weights, which go from memory straight to the
// registers of mma.sync. A block has 16 times TILES weight rows and eight times EIGHTS rows of `a`; its warps share K and add
// up in a fixed order. A lane takes 16 bytes of a
// row at once, which as operands of two products are k in another order than theirs, the same for weights and for `a`.
#include "params.cuh"
#include "ptx/mma.cuh"
#include "ptx/overlap.cuh"
#include "ptx/stream.cuh"

constexpr int TILE_ROWS = 16;

// Eight elements of a row from `chunk` on; behind the end of K zeros.
template <bool ALIGNED, bool ONCE>
__device__ __forceinline__ uint4 load(const unsigned short* row, int chunk, int chunks) {
    if (chunk >= chunks) return {};
    const unsigned short* at = row + 8 * chunk;
    if (ALIGNED) return ONCE ? load_once_128<MOST_FETCH>(at) : *(const uint4*)at;
    const auto pair = [&](int i) { return at[2 * i] | unsigned(at[2 * i + 1]) << 16; };
    return {pair(0), pair(1), pair(2), pair(3)};
}

// AHEAD loads of every row are asked for before the first is used.
template <class T, int EIGHTS, int TILES, int AHEAD, bool ALIGNED>
__device__ __forceinline__ void multiply(const GroupedGemmParams& p, int col, int top,
                                         float (&d)[TILES][EIGHTS][4]) {
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, c = threadIdx.x % 4, chunks = p.k / 8;
    const auto row = [](const Rows& of, int r, int count) { return (const unsigned short*)of.base + min(r, count - 1) * of.stride; };
    const unsigned short *w_rows[2 * TILES], *a_rows[EIGHTS];
#pragma unroll
    for (int i = 0; i < 2 * TILES; i++) w_rows[i] = row(p.w, col + 8 * i + g, p.n);
#pragma unroll
    for (int i = 0; i < EIGHTS; i++) a_rows[i] = row(p.a, top + 8 * i + g, p.rows);
#pragma unroll 1
    for (int first = 4 * warp + c; first - c < chunks; first += 4 * WARPS * AHEAD) {
        uint4 w[AHEAD][2 * TILES], a[AHEAD][EIGHTS];
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            const int chunk = first + 4 * WARPS * u;
#pragma unroll
            for (int i = 0; i < 2 * TILES; i++) w[u][i] = load<ALIGNED, true>(w_rows[i], chunk, chunks);
#pragma unroll
            for (int i = 0; i < EIGHTS; i++) a[u][i] = load<ALIGNED, false>(a_rows[i], chunk, chunks);
        }
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                const uint4 low = w[u][2 * t], high = w[u][2 * t + 1];
                const unsigned one[4] = {low.x, high.x, low.y, high.y}, two[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
                for (int i = 0; i < EIGHTS; i++) {
                    mma_16816(T{}, d[t][i], one, a[u][i].x, a[u][i].y);
                    mma_16816(T{}, d[t][i], two, a[u][i].z, a[u][i].w);
                }
            }
        }
    }
}

template <class T, int EIGHTS, int TILES, int AHEAD>
__device__ __forceinline__ void layer(const GroupedGemmParams& p) {
    constexpr int COLUMNS = TILES * TILE_ROWS;
    __shared__ float parts[WARPS][EIGHTS * 8][COLUMNS];
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, c = threadIdx.x % 4 * 2;
    const int col = blockIdx.x * COLUMNS, top = blockIdx.y * 8 * EIGHTS;
    wait_for_predecessor();
    allow_successor();
    const int mine = col + threadIdx.x % COLUMNS; // the column that this thread stores
    const float bias = p.bias.base && mine < p.n ? load1(p.bias, 0, mine) : 0.0f; // not at the end, where it would be waited for
    float d[TILES][EIGHTS][4] = {};
    if (p.a_aligned && p.w_aligned) multiply<T, EIGHTS, TILES, AHEAD, true>(p, col, top, d);
    else multiply<T, EIGHTS, TILES, 1, false>(p, col, top, d);
#pragma unroll
    for (int t = 0; t < TILES; t++) {
#pragma unroll
        for (int i = 0; i < EIGHTS; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) parts[warp][8 * i + c + j % 2][t * TILE_ROWS + g + j / 2 * 8] = d[t][i][j];
        }
    }
    __syncthreads();
    for (int r = threadIdx.x / COLUMNS; r < min(p.rows - top, 8 * EIGHTS); r += 32 * WARPS / COLUMNS) {
        float sum = 0.0f;
#pragma unroll
        for (int part = 0; part < WARPS; part++) sum += parts[part][r][threadIdx.x % COLUMNS];
        if (mine < p.n) store1(p.d, top + r, mine, sum + bias);
    }
}

// `blocks` a multiprocessor, so that those of 5120 weight rows are resident together.
#define LAYER(name, type, eights, tiles, ahead, blocks)                                                                \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, blocks) name(const __grid_constant__ GroupedGemmParams p) { \
        layer<type, eights, tiles, ahead>(p);                                                                          \
    }

LAYER(rows_bf16_8, MmaBf16, 1, 1, 4, 3)
LAYER(rows_bf16_16, MmaBf16, 2, 1, 3, 3)
LAYER(rows_bf16_32, MmaBf16, 4, 1, 3, 2)
LAYER(rows_bf16_32_wide, MmaBf16, 4, 2, 2, 2)
LAYER(rows_f16_8, MmaF16, 1, 1, 4, 3)
LAYER(rows_f16_16, MmaF16, 2, 1, 3, 3)
LAYER(rows_f16_32, MmaF16, 4, 1, 3, 2)
LAYER(rows_f16_32_wide, MmaF16, 4, 2, 2, 2)
