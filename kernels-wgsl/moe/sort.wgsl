// The stable counting sort of assignments by expert: a workgroup a bucket, the last one for ids outside the experts. Each
// counts what goes in front of its own, then places its own in order: no atomics, the same result every time.
const EACH: u32 = 8u; // neighbouring assignments of an invocation

var<workgroup> totals: array<vec2<u32>, THREADS>;

fn bucket_of(a: u32) -> u32 {
    return min(bitcast<u32>(int_topk_idx(a)), p.experts);
}

// Sum over the invocations in front of this one, and over all.
fn scan(value: u32, lane: u32) -> vec2<u32> {
    var sum = value;
    for (var step = 1u; step < THREADS; step *= 2u) {
        totals[lane].x = sum;
        workgroupBarrier();
        if (lane >= step) { sum += totals[lane - step].x; }
        workgroupBarrier();
    }
    totals[lane].x = sum;
    workgroupBarrier();
    let all = totals[THREADS - 1u].x;
    workgroupBarrier();
    return vec2<u32>(sum - value, all);
}

@compute @workgroup_size(THREADS)
fn moe_sort(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let bucket = item_of(group);
    if (bucket >= p.items) { return; }
    var counts = vec2<u32>(); // in front, own
    for (var a = lane; a < p.assignments; a += THREADS) {
        let b = bucket_of(a);
        counts += vec2<u32>(select(0u, 1u, b < bucket), select(0u, 1u, b == bucket));
    }
    totals[lane] = counts;
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if (lane < step) { totals[lane] += totals[lane + step]; }
    }
    let found = workgroupUniformLoad(&totals[0]);
    if (lane == 0u) {
        put_int_expert_offset(bucket, i32(found.x));
        if (bucket < p.experts) { put_int_expert_count(bucket, i32(found.y)); }
        if (bucket == p.experts && found.y > 0u) { report(FAULT_EXPERT_ID); }
    }
    if (found.y == 0u) { return; }
    var next = found.x;
    for (var start = 0u; start < p.assignments; start += THREADS * EACH) {
        let first = start + lane * EACH;
        let last = min(first + EACH, p.assignments);
        var own = 0u;
        for (var a = first; a < last; a++) { own += select(0u, 1u, bucket_of(a) == bucket); }
        let place = scan(own, lane);
        var row = next + place.x;
        for (var a = first; a < last; a++) {
            if (bucket_of(a) == bucket) {
                put_int_sorted_assignment(row, i32(a));
                put_int_assignment_to_row(a, i32(row));
                row++;
            }
        }
        next += place.y;
    }
}
