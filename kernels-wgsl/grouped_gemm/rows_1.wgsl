// Tiles of one row. Workgroup memory has fours of its elements.
alias Sum = f32;
alias Four = vec4<f32>;
const_assert BLOCK_M == 1;

var<workgroup> a_tile: array<vec4<f32>, FOURS>;

fn stage(at: u32, four: array<vec4<f32>, BLOCK_M>) { a_tile[at] = four[0]; }

fn staged(at: u32) -> Four { return a_tile[at]; }

fn multiplied(sum: Sum, w: vec4<f32>, a: Four) -> Sum {
    return fma(w.w, a.w, fma(w.z, a.z, fma(w.y, a.y, fma(w.x, a.x, sum))));
}

fn of_row(sum: Sum, m: u32) -> f32 { return sum; }
