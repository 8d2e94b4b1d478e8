// A word of a prepacked tile: elements 2q, 2q + 1, 2q + 8, 2q + 9 of 16, of rows g and g + 8. `PLACES` in src/mxfp4/tiled.rs.
const CODE_BITS: u32 = 0x0e000e00u; // of f16, where a code is its value divided by 2^14
const SIGN_BITS: u32 = 0x80008000u;

struct Pairs16 {
    g: vec2<u32>,
    g8: vec2<u32>,
}

// As pairs of f16.
fn pairs_of(word: u32) -> Pairs16 {
    let last = (word & 0x001b001bu) * 4228u;
    let a = ((word << 3u) & CODE_BITS) | (word & SIGN_BITS);
    let b = (word & CODE_BITS) | (((word >> 3u) | (word << 29u)) & SIGN_BITS);
    let c = ((word >> 3u) & CODE_BITS) | (((word >> 6u) | (word << 26u)) & SIGN_BITS);
    let d = ((last << 3u) & CODE_BITS) | (last & SIGN_BITS);
    return Pairs16(vec2<u32>(a, c), vec2<u32>(b, d));
}

struct Rows {
    g: vec4<f32>,
    g8: vec4<f32>,
}

fn four_of(pairs: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(pairs.x), unpack2x16float(pairs.y));
}

// Divided by 2^14.
fn decoded(word: u32) -> Rows {
    let pairs = pairs_of(word);
    return Rows(four_of(pairs.g), four_of(pairs.g8));
}
