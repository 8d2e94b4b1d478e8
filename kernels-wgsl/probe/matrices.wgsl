// A product of 16 x 16 matrices, the rows of both along K: the first 256 words hold f32 of one, the next 256 of the other, and
// what they give is left behind them.
enable f16;
enable wgpu_cooperative_matrix;

@group(0) @binding(0) var<storage, read_write> words: array<f32>;
var<workgroup> a: array<vec4<f16>, 64>;
var<workgroup> b: array<vec4<f16>, 64>;
var<workgroup> products: array<f32, 256>;

fn four(at: u32) -> vec4<f16> {
    return vec4<f16>(vec4<f32>(words[at], words[at + 1u], words[at + 2u], words[at + 3u]));
}

@compute @workgroup_size(32)
fn probe(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < 64u; i += 32u) {
        a[i] = four(4u * i);
        b[i] = four(256u + 4u * i);
    }
    workgroupBarrier();
    let x = coopLoadT<coop_mat16x16<f16, A>>(&a[0], 4u);
    let y = coopLoad<coop_mat16x16<f16, B>>(&b[0], 4u);
    var sum = coop_mat16x16<f32, C>();
    sum = coopMultiplyAdd(x, y, sum);
    coopStoreT(sum, &products[0], 16u);
    workgroupBarrier();
    for (var i = lane; i < 256u; i += 32u) { words[512u + i] = products[i]; }
}
