// Published MXFP4 weights in tiles of 16 rows x 64 elements: `Tiled` in src/mxfp4/tiled.rs, where the places of bits are derived.
// An invocation 16 bytes of a tile, which has 34 times as many: codes of 32 lanes, then 32 scales.
const TILE_ROWS: u32 = 16u;
const TILE_K: u32 = 64u;
const TILE_VECTORS: u32 = 34u;
const PAD_SCALE: u32 = 127u;

// A pair of codes where registers 0 to 2 have it, turned by three bits for each register before it: sign, two exponent bits and
// mantissa bit at 15, 8, 7 and 6, the second code's 16 bits higher.
fn places(pair: u32) -> u32 {
    return ((pair & 0x07u) << 6u) | ((pair & 0x08u) << 12u) | ((pair & 0x70u) << 18u) | ((pair & 0x80u) << 24u);
}

fn turned(bits: u32, by: u32) -> u32 {
    return (bits << by) | (bits >> (32u - by));
}

// Where register 3 has it: at 3, 1, 0 and 4.
fn last_places(pair: u32) -> u32 {
    return (pair & 0x08u) | ((pair & 0x06u) >> 1u) | ((pair & 0x01u) << 4u)
        | ((pair & 0x80u) << 12u) | ((pair & 0x60u) << 11u) | ((pair & 0x10u) << 16u);
}

// The pair of codes at element k of a row of an expert; zeros where there is none.
fn pair_at(expert: u32, row: u32, k: u32) -> u32 {
    if (row >= p.n || k >= p.k) { return 0u; }
    return byte_w(w_at(expert, (row * p.k + k) / 2u));
}

fn scale_at(expert: u32, row: u32, k: u32) -> u32 {
    if (row >= p.n || k >= p.k) { return PAD_SCALE; }
    return byte_w_scales(w_scales_at(expert, (row * p.k + k) / 32u));
}

@compute @workgroup_size(THREADS)
fn mxfp4_prepack(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = item_of(group) * THREADS + lane;
    if (i >= p.vectors) { return; }
    let part = i % TILE_VECTORS;
    let tile = i / TILE_VECTORS;
    let k0 = tile % p.across * TILE_K;
    let band = tile / p.across;
    let row0 = band % p.bands * TILE_ROWS;
    let expert = band / p.bands;
    var out = vec4<u32>();
    if (part < 32u) {
        let row = row0 + part / 4u;
        for (var j = 0u; j < 4u; j++) {
            let k = k0 + 16u * j + part % 4u * 2u;
            out[j] = places(pair_at(expert, row, k)) | turned(places(pair_at(expert, row + 8u, k)), 3u)
                | turned(places(pair_at(expert, row, k + 8u)), 6u) | last_places(pair_at(expert, row + 8u, k + 8u));
        }
    } else {
        // Four rows g from here on: a word has two scales of row g, then two of row g + 8.
        for (var j = 0u; j < 4u; j++) {
            let row = row0 + (part - 32u) * 4u + j;
            out[j] = scale_at(expert, row, k0) | (scale_at(expert, row, k0 + 32u) << 8u)
                | (scale_at(expert, row + 8u, k0) << 16u) | (scale_at(expert, row + 8u, k0 + 32u) << 24u);
        }
    }
    put_vec_tiles(tiles_at(0u, i), out);
}
