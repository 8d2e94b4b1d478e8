// Top-k of a token's logits, descending, equal logits by lower expert, NaN last; and their weights.
const MAX_EXPERTS: u32 = 512u;
const MAX_TOP_K: u32 = 16u;
const SOFTMAX_AFTER: u32 = 0u;
const SOFTMAX_BEFORE: u32 = 1u; // else before, and renormalised

var<workgroup> ranks: array<u32, MAX_EXPERTS>;
var<workgroup> chosen: array<vec2<u32>, MAX_TOP_K>; // rank, expert

// exp(logit - top) of two ranks, the top one finite.
fn exponential(rank: u32, top: u32) -> f32 {
    if (rank <= MINUS_INFINITY) { return 0.0; }
    return exp(logit_of(rank) - logit_of(top));
}

// An expert's place is the number of better ones.
fn route_token(t: u32, lane: u32) {
    for (var e = lane; e < p.experts; e += THREADS) { ranks[e] = rank_of(load_logits(t, e)); }
    workgroupBarrier();
    for (var e = lane; e < p.experts; e += THREADS) {
        let mine = vec2<u32>(ranks[e], e);
        var place = 0u;
        for (var other = 0u; other < p.experts; other++) {
            place += select(0u, 1u, better(vec2<u32>(ranks[other], other), mine));
        }
        if (place < p.top_k) { chosen[place] = mine; }
    }
    workgroupBarrier();
    var over_all = 0.0;
    if (SCORE == SOFTMAX_BEFORE) {
        var part = 0.0;
        for (var e = lane; e < p.experts; e += THREADS) { part += exponential(ranks[e], chosen[0].x); }
        over_all = workgroup_sum(part, lane);
    }
    if (lane >= p.top_k) { return; }
    let top = chosen[0].x;
    var sum = over_all;
    if (SCORE != SOFTMAX_BEFORE) {
        for (var j = 0u; j < p.top_k; j++) { sum += exponential(chosen[j].x, top); }
    }
    let at = t * p.top_k + lane;
    put_int_topk_idx(at, i32(chosen[lane].y));
    let weight = bitcast<u32>(exponential(chosen[lane].x, top) / sum);
    // Infinite at the top, or nothing but -inf and NaN: inf - inf, and with it every weight.
    let none = top <= MINUS_INFINITY || top == INFINITY;
    put_topk_weight(0u, at, select(weight, 0x7fc00000u, none));
}
