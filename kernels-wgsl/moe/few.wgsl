// Routes few tokens and sorts their assignments, each by comparison with all others. One workgroup.
const MAX_ASSIGNMENTS: u32 = 256u;

var<workgroup> ids: array<i32, MAX_ASSIGNMENTS>;

@compute @workgroup_size(THREADS)
fn moe_few(@builtin(local_invocation_index) lane: u32) {
    let assignments = p.tokens * p.top_k;
    for (var t = 0u; t < p.tokens; t++) {
        route_token(t, lane);
        if (lane < p.top_k) { ids[t * p.top_k + lane] = i32(chosen[lane].y); }
        workgroupBarrier();
    }
    for (var a = lane; a < assignments; a += THREADS) {
        var row = 0;
        for (var b = 0u; b < assignments; b++) {
            row += select(0, 1, ids[b] < ids[a] || (ids[b] == ids[a] && b < a));
        }
        put_int_sorted_assignment(u32(row), i32(a));
        put_int_assignment_to_row(a, row);
    }
    for (var e = lane; e <= p.experts; e += THREADS) {
        var count = 0;
        var before = 0;
        for (var b = 0u; b < assignments; b++) {
            count += select(0, 1, ids[b] == i32(e));
            before += select(0, 1, ids[b] < i32(e));
        }
        put_int_expert_offset(e, before);
        if (e < p.experts) { put_int_expert_count(e, count); }
    }
}
