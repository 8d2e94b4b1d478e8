// MXFP4 in its three layouts: `Layout` in src/mxfp4/layout.rs. A scale is applied in two halves, one to each element and one to
// the sum of its block: neither leaves the normal numbers of f32, whatever the scale, nor do the sums where results do not.
const DENSE: u32 = 0u;
const MXFP4: u32 = 1u;
const MXFP4_GGUF: u32 = 2u; // else prepacked

const TILE_CODES: u32 = 512u;
const TILE_BYTES: u32 = 544u;

// 2^e of a normal number.
fn power_of_two(e: i32) -> f32 {
    return bitcast<f32>(u32(e + 127) << 23u);
}

fn first_half(scale: u32) -> i32 {
    return (i32(scale) - 127) / 2;
}

// What elements are multiplied by.
fn element_factor(scale: u32) -> f32 {
    return power_of_two(first_half(scale));
}

// What the sum of the block is multiplied by.
fn block_factor(scale: u32) -> f32 {
    if (scale == 255u) { return bitcast<f32>(0x7f000000u | (scale << 16u)); }
    return power_of_two(i32(scale) - 127 - first_half(scale));
}

// Value of a code times `factor`. The table holds twice the magnitudes 0, .5, 1, 1.5, 2, 3, 4, 6.
fn e2m1(code: u32, factor: f32) -> f32 {
    let twice = (0xc8643210u >> ((code & 7u) * 4u)) & 15u;
    return bitcast<f32>(bitcast<u32>(f32(twice) * (0.5 * factor)) | ((code & 8u) << 28u));
}
