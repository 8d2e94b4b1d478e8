// Reductions over a workgroup as kernels make them by subgroups of whatever size, and shuffles between neighbours. Of 128 numbers
// an invocation leaves behind them their sum, their largest and its place, and those of two neighbours.
@group(0) @binding(0) var<storage, read_write> words: array<f32>;
const THREADS = 128u;

var<workgroup> sums: array<f32, THREADS>;
var<workgroup> largest: array<vec2<u32>, THREADS>;

@compute @workgroup_size(128)
fn probe(@builtin(local_invocation_index) lane: u32) {
    let value = words[lane];
    let size = subgroupAdd(1u);
    let sum_of = subgroupAdd(value);
    let most_of = subgroupMax(u32(value));
    let place_of = subgroupMin(select(THREADS, lane, u32(value) == most_of));
    if (lane % size == 0u) {
        sums[lane / size] = sum_of;
        largest[lane / size] = vec2<u32>(most_of, place_of);
    }
    workgroupBarrier();
    var sum = 0.0;
    var most = vec2<u32>();
    for (var i = 0u; i < THREADS / size; i++) {
        sum += sums[i];
        if (largest[i].x > most.x) { most = largest[i]; }
    }
    let at = THREADS + 5u * lane;
    words[at] = sum;
    words[at + 1u] = f32(most.x);
    words[at + 2u] = f32(most.y);
    words[at + 3u] = subgroupShuffleXor(value, 1u);
    words[at + 4u] = subgroupShuffleXor(value, 2u);
}
