// Tiles of prepacked MXFP4 whose rows or scales do not fit f16, in f32; and tiles of experts that are not here.

fn scales_of(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
}

// The product of a row of `a` and a weight row, in f32: a scale in two halves, the first one for the elements.
fn exact_product(row: u32, weights: u32, n: u32) -> f32 {
    let g = n % 8u;
    let lower = n % 16u >= 8u;
    var sum = 0.0;
    for (var kt = 0u; kt * 64u < p.k; kt++) {
        let at = weights + kt * 34u;
        let scales = scales_of(part_w(at + 32u + g / 4u, g % 4u));
        for (var half = 0u; half < 2u && kt * 64u + half * 32u < p.k; half++) {
            let scale = scales[half + select(0u, 2u, lower)];
            let unit = 16384.0 * element_factor(scale);
            var block = 0.0;
            for (var i = 0u; i < 8u; i++) {
                let j = half * 2u + i / 4u;
                let k = kt * 64u + j * 16u + i % 4u * 2u;
                let four = decoded(part_w(at + g * 4u + i % 4u, j));
                let w = select(four.g, four.g8, lower) * unit;
                block += load_a(row, k) * w.x + load_a(row, k + 1u) * w.y + load_a(row, k + 8u) * w.z + load_a(row, k + 9u) * w.w;
            }
            sum += block * block_factor(scale);
        }
    }
    return sum;
}

fn exact_tile(t: Tile, col_first: u32, first: u32, local: i32, lane: u32) {
    for (var i = lane; i < BLOCK_M * BLOCK_N / 4u; i += THREADS) {
        let r = t.first + i32(i / (BLOCK_N / 4u));
        let col = col_first + i % (BLOCK_N / 4u) * 4u;
        if (r >= t.last || col >= p.n) { continue; }
        let row = input_row(r, false);
        var y = vec4<f32>();
        if (row >= 0) {
            for (var c = 0u; c < min(p.n - col, 4u); c++) {
                let n = col + c;
                y[c] = exact_product(u32(row), first + n / 16u * p.k_tiles * 34u, n);
            }
        }
        finish(u32(r), col, y, local, true);
    }
}

fn zero_tile(t: Tile, col_first: u32, local: i32, lane: u32) {
    for (var i = lane; i < BLOCK_M * BLOCK_N / 4u; i += THREADS) {
        let r = t.first + i32(i / (BLOCK_N / 4u));
        if (r < t.last) { finish(u32(r), col_first + i % (BLOCK_N / 4u) * 4u, vec4<f32>(), local, false); }
    }
}
