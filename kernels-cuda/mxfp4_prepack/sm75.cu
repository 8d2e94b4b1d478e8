// Published MXFP4 weights in tiles of 16 rows x 64 elements: `Tiled` in src/mxfp4/tiled.rs, where the places of bits are derived.
// A warp a tile, a lane 16 bytes of codes and one scale.
#include "params.cuh"

#define TILE_ROWS 16
#define TILE_K 64
#define TILE_CODES 512
#define TILE_BYTES 544
#define PAD_SCALE 127

// A pair of codes where registers 0 to 2 have it, turned by three bits for each register before it: sign, two exponent bits and
// mantissa bit at 15, 8, 7 and 6, the second code's 16 bits higher.
__device__ __forceinline__ unsigned places(unsigned pair) {
    return (pair & 0x07) << 6 | (pair & 0x08) << 12 | (pair & 0x70) << 18 | (pair & 0x80) << 24;
}

__device__ __forceinline__ unsigned turned(unsigned bits, int by) { return bits << by | bits >> (32 - by); }

// Where register 3 has it: at 3, 1, 0 and 4.
__device__ __forceinline__ unsigned last_places(unsigned pair) {
    return (pair & 0x08) | (pair & 0x06) >> 1 | (pair & 0x01) << 4 | (pair & 0x80) << 12 | (pair & 0x60) << 11 | (pair & 0x10) << 16;
}

// The eight words of a row of a tile; zeros where there are none.
__device__ __forceinline__ void load_row(const Mxfp4PrepackParams& p, long long row, bool there, int k0, unsigned (&words)[8]) {
    const unsigned* from = (const unsigned*)(p.w + (row * p.k + k0) / 2);
#pragma unroll
    for (int i = 0; i < 8; i++) words[i] = there && k0 + 8 * i < p.k ? from[i] : 0;
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) mxfp4_prepack(const __grid_constant__ Mxfp4PrepackParams p) {
    const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
    const int bands = (p.n + TILE_ROWS - 1) / TILE_ROWS, across = (p.k + TILE_K - 1) / TILE_K;
    const long long count = (long long)p.experts * bands * across;
    for (long long t = (long long)blockIdx.x * WARPS + threadIdx.x / 32; t < count; t += (long long)gridDim.x * WARPS) {
        const int k0 = int(t % across) * TILE_K, row0 = int(t / across % bands) * TILE_ROWS;
        const long long first = t / across / bands * p.n;
        unsigned upper[8], lower[8], out[4];
        load_row(p, first + row0 + g, row0 + g < p.n, k0, upper);
        load_row(p, first + row0 + g + 8, row0 + g + 8 < p.n, k0, lower);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const unsigned a = upper[2 * j] >> 8 * q & 255, b = lower[2 * j] >> 8 * q & 255;
            const unsigned c = upper[2 * j + 1] >> 8 * q & 255, d = lower[2 * j + 1] >> 8 * q & 255;
            out[j] = places(a) | turned(places(b), 3) | turned(places(c), 6) | last_places(d);
        }
        unsigned char* tile = p.tiles + t * TILE_BYTES;
        ((uint4*)tile)[lane] = make_uint4(out[0], out[1], out[2], out[3]);
        // Two scales of row g, two of row g + 8.
        const int row = row0 + g + q / 2 * 8, k = k0 + q % 2 * 32;
        const bool there = row < p.n && k < p.k;
        tile[TILE_CODES + lane] = there ? p.w_scales[((first + row) * p.k + k) / 32] : PAD_SCALE;
    }
}
