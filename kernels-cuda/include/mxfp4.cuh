// MXFP4 in its three layouts: `Layout` in src/mxfp4/layout.rs. Elements come without their block's scale, which is a factor
// of the whole block and is applied to its sum: no scale overflows that way, from 2^-127 to 2^127.
#pragma once

// Value of an E2M1 code. As the exponent and the top mantissa bit of an f32, a code is its value times 2^-126.
__device__ __forceinline__ float e2m1(unsigned code) {
    return __uint_as_float((code & 8) << 28 | (code & 7) << 22) * 0x1p126f;
}

// Value of a scale byte: 2^(byte - 127), NaN for 255.
__device__ __forceinline__ float e8m0(unsigned byte) {
    if (byte == 255) return __uint_as_float(0x7fffffff);
    return __uint_as_float(byte == 0 ? 0x00400000 : byte << 23);
}

// Elements k .. k + 8 of a row in the OpenAI layout; `row` is its first block of 16 bytes.
__device__ __forceinline__ void openai8(const unsigned char* row, int k, float (&out)[8]) {
    const unsigned word = *(const unsigned*)(row + k / 2);
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = e2m1(word >> 4 * i & 15);
}

// In the GGUF layout; `block` is the block of 17 bytes that holds k.
__device__ __forceinline__ void gguf8(const unsigned char* block, int k, float (&out)[8]) {
    const int j = k % 32;
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = e2m1(block[1 + j % 16 + i] >> (j < 16 ? 0 : 4) & 15);
}

constexpr int TILE_ROWS = 16, TILE_K = 64, TILE_CODES = 512, TILE_BYTES = 544;

// In the prepacked layout; `tile` holds row r (of 16) and k.
__device__ __forceinline__ void tiled8(const unsigned char* tile, int r, int k, float (&out)[8]) {
    const int word = k % TILE_K / 16, high = k % 16 / 8;
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        const int lane = r % 8 * 4 + i / 2;
        const unsigned char pair = tile[lane * 16 + word * 4 + r / 8 + 2 * high];
        out[i] = e2m1(pair & 15);
        out[i + 1] = e2m1(pair >> 4);
    }
}
