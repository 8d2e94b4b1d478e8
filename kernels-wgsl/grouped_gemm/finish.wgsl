// What becomes of the products of rows and weight rows.

// Weight row of column c: gate and up stand side by side here, whatever their order in memory.
fn weight_row(c: u32) -> u32 {
    if (GATED == 0u || HALVES == 0u) { return c; }
    return c / 2u + select(0u, p.n / 2u, c % 2u == 1u);
}

// A launch binds the weights of some experts; the first one zeroes the rows of those that are nowhere. Is a tile another's?
fn is_left_out(local: i32, here: bool) -> bool {
    let bound = local - p.bound_first;
    return select(p.bound_first > 0, bound < 0 || bound >= p.bound_count, here);
}

// Biases of columns col .. col + 4. Kernels of few rows ask for them before the products, so that no row waits for them at its end.
fn biases(col: u32, local: i32, here: bool) -> vec4<f32> {
    var bias = vec4<f32>();
    if (BIAS == 0u || !here) { return bias; }
    for (var c = 0u; c < 4u; c++) { bias[c] = load_bias(u32(local), weight_row(min(col + c, p.n - 1u))); }
    return bias;
}

// Columns col .. col + 4 of a row: bias, the gated unit, the store. Rows of experts that are not here are zero.
fn finish_biased(row: u32, col: u32, products: vec4<f32>, bias: vec4<f32>, here: bool) {
    if (col >= p.n) { return; }
    var y = products;
    if (BIAS == 1u && here) { y += bias; }
    if (GATED == 0u) {
        store4_d(row, col, p.n - col, y);
    } else if (here) {
        store2_d(row, col / 2u, (p.n - col) / 2u, vec2<f32>(swiglu(y.x, y.y), swiglu(y.z, y.w)));
    } else {
        store2_d(row, col / 2u, (p.n - col) / 2u, vec2<f32>());
    }
}

fn finish(row: u32, col: u32, products: vec4<f32>, local: i32, here: bool) {
    finish_biased(row, col, products, biases(col, local, here), here);
}
