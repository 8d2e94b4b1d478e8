// The sum over a workgroup, in the order of a tree.
var<workgroup> summands: array<f32, THREADS>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
    summands[lane] = value;
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if (lane < step) { summands[lane] += summands[lane + step]; }
    }
    let sum = workgroupUniformLoad(&summands[0]);
    return sum;
}
