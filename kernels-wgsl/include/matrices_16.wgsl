// Cooperative matrices as Vulkan's drivers have them, and the workgroup memory they are loaded from: BLOCK_M rows of one factor and
// BLOCK_N of the other, 64 elements of each, by fours. Drivers load matrices 16 bytes at a time, and lay variables out without gaps in an
// order of their own: each variable of a kernel with matrices has whole 16 bytes.
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Product = coop_mat16x16<f32, C>;
const LINE: u32 = 18u; // entries of a row, padded against bank conflicts
const FOUR: u32 = 1u; // entries that hold four elements

var<workgroup> left: array<vec4<f16>, BLOCK_M * LINE>;
var<workgroup> right: array<vec4<f16>, BLOCK_N * LINE>;

fn put_left(row: u32, four: u32, x: vec4<f16>) {
    left[row * LINE + four] = x;
}

fn put_right(row: u32, four: u32, x: vec4<f16>) {
    right[row * LINE + four] = x;
}

// A word as it is. naga has no bitcast to halves: for Vulkan src/wgpu/spirv.rs makes one of this.
fn pair_of(word: u32) -> vec2<f16> {
    return vec2<f16>(unpack2x16float(word));
}
