// Tiles of one row. Workgroup memory has fours of its elements.
alias Sum = f32;
alias Four = vec4<f32>;
const_assert BLOCK_M == 1;

var<workgroup> a_tile: array<vec4<f32>, FOURS>;

fn stage(at: u32, four: array<vec4<f32>, BLOCK_M>) { a_tile[at] = four[0]; }

// Elements e and e + 1 of a consecutive four, as the lower or upper half of the one at `at`.
fn stage_two(at: u32, half: u32, four: array<vec4<f32>, BLOCK_M>, e: u32) {
    a_tile[at][half * 2u] = four[0][e];
    a_tile[at][half * 2u + 1u] = four[0][e + 1u];
}

fn staged(at: u32) -> Four { return a_tile[at]; }

fn multiplied(sum: Sum, w: vec4<f32>, a: Four) -> Sum {
    return fma(w.w, a.w, fma(w.z, a.z, fma(w.y, a.y, fma(w.x, a.x, sum))));
}

fn of_row(sum: Sum, m: u32) -> f32 { return sum; }
