// MXFP4 in its three layouts: `Layout` in src/mxfp4/layout.rs. Elements come without their block's scale, which is a factor
// of the whole block and is applied to its sum: no scale overflows that way, from 2^-127 to 2^127. They come 2^-8 times as
// large, exactly, so that the sum of a block does not overflow either where `a` is as large as bf16 gets and the scale
// small: 6 x 32 < 2^8. Whoever adds them up multiplies by E2M1_UNIT in the end.
#pragma once

constexpr float E2M1_UNIT = 0x1p8f;
// Of bf16 that holds the scale too: 6 x 2^127 fits so, and 0.5 x 2^-127.
constexpr float E2M1_SCALED_UNIT = 0x1p2f;

// Value of an E2M1 code in E2M1_UNITs. As the exponent and the top mantissa bit of an f32, a code is its value times 2^-126.
__device__ __forceinline__ float e2m1(unsigned code) {
    return __uint_as_float((code & 8) << 28 | (code & 7) << 22) * (0x1p126f / E2M1_UNIT);
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

// Where the scales of rows g and g + 8 lie in a tile, a word: those of row g's two blocks, then those of row g + 8's.
__device__ __forceinline__ int tile_scales(int g) { return TILE_CODES + 4 * g; }

// Register I of the fragment that a word of a tile holds, as pairs of bf16 2^-126 times as large: subnormal or just above.
template <int I>
__device__ __forceinline__ unsigned tile_pair(unsigned word) {
    constexpr unsigned MASK = 0x81c081c0;
    if constexpr (I == 3) return (word & 0x001b001b) * 4228 & MASK; // no carries
    return __funnelshift_r(word, word, 3 * I) & MASK;
}

// In the prepacked layout; `tile` holds row r (of 16) and k.
__device__ __forceinline__ void tiled8(const unsigned char* tile, int r, int k, float (&out)[8]) {
    const unsigned char* words = tile + r % 8 * 64 + k % TILE_K / 16 * 4;
    const int high = k % 16 / 8;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const unsigned word = *(const unsigned*)(words + i * 16);
        const unsigned pair = r < 8 ? (high ? tile_pair<2>(word) : tile_pair<0>(word))
                                    : (high ? tile_pair<3>(word) : tile_pair<1>(word));
        out[2 * i] = __uint_as_float(pair << 16) * (0x1p126f / E2M1_UNIT);
        out[2 * i + 1] = __uint_as_float(pair & 0xffff0000) * (0x1p126f / E2M1_UNIT);
    }
}
