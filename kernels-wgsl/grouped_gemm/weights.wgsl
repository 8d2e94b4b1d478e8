// Four weights of a row, and the scale of a block, from whatever format they are stored in. `expert` counts from the first
// one that is bound.

// Prepacked: byte of the tile that holds row n and element k.
fn tile_of(expert: u32, n: u32, k: u32) -> u32 {
    return w_at(expert, ((n / 16u) * ((p.k + 63u) / 64u) + k / 64u) * TILE_BYTES);
}

fn scale_of(expert: u32, n: u32, k: u32) -> u32 {
    if (FORMAT == MXFP4) { return byte_w_scales(w_scales_at(expert, n * (p.k / 32u) + k / 32u)); }
    if (FORMAT == MXFP4_GGUF) { return byte_w(w_at(expert, (n * (p.k / 32u) + k / 32u) * 17u)); }
    let r = n % 16u;
    return byte_w(tile_of(expert, n, k) + TILE_CODES + r % 8u * 4u + r / 8u * 2u + k % 64u / 32u);
}

// Codes of elements k .. k + 4, k a multiple of 4, one a byte.
fn codes_of(expert: u32, n: u32, k: u32) -> u32 {
    if (FORMAT == MXFP4) {
        let at = w_at(expert, (n * p.k + k) / 2u);
        let two = byte_w(at) | (byte_w(at + 1u) << 8u);
        return (two & 0x0fu) | ((two & 0xf0u) << 4u) | ((two & 0x0f00u) << 8u) | ((two & 0xf000u) << 12u);
    }
    if (FORMAT == MXFP4_GGUF) {
        // Byte j of a block holds elements j and j + 16.
        let at = w_at(expert, (n * (p.k / 32u) + k / 32u) * 17u + 1u + k % 16u);
        let four = byte_w(at) | (byte_w(at + 1u) << 8u) | (byte_w(at + 2u) << 16u) | (byte_w(at + 3u) << 24u);
        return (four >> (k % 32u / 16u * 4u)) & 0x0f0f0f0fu;
    }
    return tiled_code(expert, n, k) | (tiled_code(expert, n, k + 1u) << 8u)
        | (tiled_code(expert, n, k + 2u) << 16u) | (tiled_code(expert, n, k + 3u) << 24u);
}

// A fragment's register keeps sign, exponent and mantissa where bf16 wants them; `PLACES` in src/mxfp4/tiled.rs.
fn tiled_code(expert: u32, n: u32, k: u32) -> u32 {
    let r = n % 16u;
    let c = k % 16u;
    let at = tile_of(expert, n, k) + (r % 8u * 4u + c % 8u / 2u) * 16u + k % 64u / 16u * 4u;
    let stored = word_w(at);
    // The second code of a pair lies 16 bits further round.
    let word = select(stored, (stored << 16u) | (stored >> 16u), c % 2u == 1u);
    let part = r / 8u + 2u * (c / 8u);
    if (part == 3u) { return (word & 8u) | ((word & 3u) << 1u) | ((word >> 4u) & 1u); }
    let places = word >> (3u * part);
    return ((places >> 12u) & 8u) | ((places >> 6u) & 7u);
}

// Four codes, one a byte, times `factor`.
fn values_of(codes: u32, factor: f32) -> vec4<f32> {
    return vec4<f32>(e2m1(codes & 15u, factor), e2m1((codes >> 8u) & 15u, factor), e2m1((codes >> 16u) & 15u, factor),
        e2m1(codes >> 24u, factor));
}

// Elements k .. k + 4 of row n times `factor`, which for dense weights is 1.
fn load_weights(expert: u32, n: u32, k: u32, factor: f32) -> vec4<f32> {
    if (FORMAT == DENSE) { return load4_w(expert, n * p.k + k, p.k - k); }
    return values_of(codes_of(expert, n, k), factor);
}
