// Words as pairs of f16, times 2^14: what an invocation reads at its place of the first 16, it leaves in two behind them.
@group(0) @binding(0) var<storage, read_write> words: array<u32>;

@compute @workgroup_size(16)
fn probe(@builtin(local_invocation_index) lane: u32) {
    let two = bitcast<vec2<u32>>(unpack2x16float(words[lane]) * 16384.0);
    words[16u + 2u * lane] = two.x;
    words[17u + 2u * lane] = two.y;
}
