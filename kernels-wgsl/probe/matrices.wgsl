// What kernels do with cooperative matrices, in small: in three turns tiles are written by other subgroups than multiply them, and
// overwritten; products are read by others. The words hold f32 of four left factors, then of four right ones, the rows of all along
// K; each of four subgroups leaves twice the sum of three products behind them.
@group(0) @binding(0) var<storage, read_write> words: array<f32>;
const BLOCK_M = 4 * SIDE;
const BLOCK_N = 4 * SIDE;
const ONE: u32 = SIDE * SIDE; // elements of a matrix
const ALL: u32 = 4u * ONE;

var<workgroup> products: array<f32, ALL>;

fn four(at: u32) -> vec4<f16> {
    let low = pack2x16float(vec2<f32>(words[at], words[at + 1u]));
    let high = pack2x16float(vec2<f32>(words[at + 2u], words[at + 3u]));
    return vec4<f16>(pair_of(low), pair_of(high));
}

@compute @workgroup_size(128)
fn probe(@builtin(local_invocation_index) lane: u32) {
    let own = lane / 32u * SIDE;
    var sum = Product();
    for (var turn = 0u; turn < 3u; turn++) {
        workgroupBarrier();
        for (var i = lane; i < ALL / 4u; i += 128u) {
            let at = (4u * i + turn * ONE) % ALL;
            put_left(i / (SIDE / 4u), i % (SIDE / 4u), four(at) * 2.0h);
            put_right(i / (SIDE / 4u), i % (SIDE / 4u), four(ALL + at));
        }
        workgroupBarrier();
        let x = coopLoadT<Left>(&left[own * LINE], LINE);
        let y = coopLoad<Right>(&right[own * LINE], LINE);
        sum = coopMultiplyAdd(x, y, sum);
    }
    let out = own * SIDE;
    coopStoreT(sum, &products[out], SIDE);
    workgroupBarrier();
    for (var i = lane; i < ALL; i += 128u) { words[2u * ALL + i] = products[i]; }
}
