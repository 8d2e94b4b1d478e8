// Tiles of four rows. Workgroup memory has an element of each side by side.
alias Sum = vec4<f32>;
alias Four = mat4x4<f32>; // a column an element
const_assert BLOCK_M == 4;

var<workgroup> a_tile: array<vec4<f32>, FOURS * 4u>;

fn stage(at: u32, four: array<vec4<f32>, BLOCK_M>) {
    a_tile[at] = vec4<f32>(four[0].x, four[1].x, four[2].x, four[3].x);
    a_tile[at + FOURS] = vec4<f32>(four[0].y, four[1].y, four[2].y, four[3].y);
    a_tile[at + 2u * FOURS] = vec4<f32>(four[0].z, four[1].z, four[2].z, four[3].z);
    a_tile[at + 3u * FOURS] = vec4<f32>(four[0].w, four[1].w, four[2].w, four[3].w);
}

// Elements e and e + 1 of a consecutive four, as the lower or upper half of the one at `at`.
fn stage_two(at: u32, half: u32, four: array<vec4<f32>, BLOCK_M>, e: u32) {
    let first = at + half * 2u * FOURS;
    a_tile[first] = vec4<f32>(four[0][e], four[1][e], four[2][e], four[3][e]);
    a_tile[first + FOURS] = vec4<f32>(four[0][e + 1u], four[1][e + 1u], four[2][e + 1u], four[3][e + 1u]);
}

fn staged(at: u32) -> Four {
    return Four(a_tile[at], a_tile[at + FOURS], a_tile[at + 2u * FOURS], a_tile[at + 3u * FOURS]);
}

fn multiplied(sum: Sum, w: vec4<f32>, a: Four) -> Sum {
    return fma(vec4<f32>(w.w), a[3], fma(vec4<f32>(w.z), a[2], fma(vec4<f32>(w.y), a[1], fma(vec4<f32>(w.x), a[0], sum))));
}

fn of_row(sum: Sum, m: u32) -> f32 { return sum[m]; }
