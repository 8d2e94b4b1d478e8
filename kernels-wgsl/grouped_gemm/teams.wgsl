// Two tiles of 16 weight rows, prepacked, by teams of 32 invocations that share K, a tile of 64 elements each in turn; an invocation
// has of both weight tiles what a lane of the tile has: elements 2q, 2q + 1, 2q + 8, 2q + 9 of every 16, of rows g and g + 8.
const TEAMS: u32 = THREADS / 32u;
const FOURS: u32 = CHUNK * 16u; // fours of elements of a chunk of CHUNK tiles along K
const_assert BLOCK_N == 32 && CHUNK % TEAMS == 0 && TEAMS % 2 == 0 && THREADS >= BLOCK_M * 8;

var<workgroup> sums: array<Sum, BLOCK_N>;

// What an invocation has of two tiles: codes, and the scales of rows g and g + 8, two blocks each.
struct Weights {
    first: vec4<u32>,
    second: vec4<u32>,
    scales: vec2<u32>,
}

// Of rows g and g + 8 of both tiles.
struct Sums {
    a: Sum,
    b: Sum,
    c: Sum,
    d: Sum,
}

fn four_products(sums: Sums, first: u32, second: u32, at: u32, units: vec4<f32>) -> Sums {
    let a = staged(at);
    let w = decoded(first);
    let v = decoded(second);
    return Sums(multiplied(sums.a, w.g * units.x, a), multiplied(sums.b, w.g8 * units.y, a),
        multiplied(sums.c, v.g * units.z, a), multiplied(sums.d, v.g8 * units.w, a));
}

// Products of the 32 elements that two words of each tile hold.
fn block_products(first: vec2<u32>, second: vec2<u32>, at: u32, units: vec4<f32>) -> Sums {
    return four_products(four_products(Sums(), first.x, second.x, at, units), first.y, second.y, at + 4u, units);
}

// The scale in byte `i`, times 2^14; up to 240.
fn whole_factor(scales: u32, i: u32) -> f32 {
    return bitcast<f32>((((scales >> (8u * i)) & 255u) + 14u) << 23u);
}

fn added(sums: Sums, block: Sums, scales: vec2<u32>, i: u32) -> Sums {
    return Sums(sums.a + block.a * whole_factor(scales.x, i), sums.b + block.b * whole_factor(scales.x, i + 2u),
        sums.c + block.c * whole_factor(scales.y, i), sums.d + block.d * whole_factor(scales.y, i + 2u));
}

fn load_weights(first: u32, second: u32, kt: u32, l: u32) -> Weights {
    let at = first + kt * 34u;
    let next = second + kt * 34u;
    let g = l / 4u;
    return Weights(vec_w(at + l), vec_w(next + l), vec2<u32>(part_w(at + 32u + g / 4u, g % 4u), part_w(next + 32u + g / 4u, g % 4u)));
}
