// Reports pages outside the cache where some query of a sequence sees a key. A workgroup a sequence.

@compute @workgroup_size(THREADS)
fn attention_pages(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let id = item_of(group);
    if (id >= p.items) { return; }
    let s = sequence(id);
    if (s.q_len == 0) { return; }
    // Neighbouring queries see neighbouring keys: the first one's first to the last one's last.
    let first = visible(s, max(0, s.q_len - s.k_len)).x;
    let end = visible(s, s.q_len - 1).y;
    if (first >= end) { return; }
    for (var nth = u32(first) / p.page_size + lane; nth * p.page_size < u32(end); nth += THREADS) {
        if (page_of(s, nth) < 0) { report(FAULT_PAGE); }
    }
}
