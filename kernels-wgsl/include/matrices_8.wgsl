// Cooperative matrices as Metal has them, and the workgroup memory they are loaded from: BLOCK_M rows of one factor and BLOCK_N of
// the other, 64 elements of each, one by one: naga's Metal loads matrices from arrays of scalars alone.
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Product = coop_mat8x8<f32, C>;
const LINE: u32 = 72u; // entries of a row, padded against bank conflicts
const FOUR: u32 = 4u; // entries that hold four elements

var<workgroup> left: array<f16, BLOCK_M * LINE>;
var<workgroup> right: array<f16, BLOCK_N * LINE>;

fn put_left(row: u32, four: u32, x: vec4<f16>) {
    let at = row * LINE + four * FOUR;
    left[at] = x.x;
    left[at + 1u] = x.y;
    left[at + 2u] = x.z;
    left[at + 3u] = x.w;
}

fn put_right(row: u32, four: u32, x: vec4<f16>) {
    let at = row * LINE + four * FOUR;
    right[at] = x.x;
    right[at + 1u] = x.y;
    right[at + 2u] = x.z;
    right[at + 3u] = x.w;
}

// A word as it is. naga has no bitcast to halves: for Vulkan src/wgpu/spirv.rs makes one of this.
fn pair_of(word: u32) -> vec2<f16> {
    return vec2<f16>(unpack2x16float(word));
}
