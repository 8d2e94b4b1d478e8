//! Routing, sorting, permuting, combining.

use super::*;
use dropless::op::moe::{
    CombineArgs, CombineSpec, DispatchArgs, DispatchSpec, PermuteArgs, PermuteSpec, RouteArgs, RouteSpec, Score,
    SortArgs, SortSpec,
};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn route(top_k: usize, score: Score, logits: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let experts = logits.len();
    let spec = RouteSpec { tokens: 1, experts, top_k, logits: DType::F32, weight: DType::F32, score };
    let (logits, mut idx, mut weight) = (
        floats(DType::F32, &[1, experts], logits),
        unwritten(DType::I32, &[1, top_k]),
        unwritten(DType::F32, &[1, top_k]),
    );
    let args = RouteArgs { logits: logits.view(), topk_idx: idx.view_mut(), topk_weight: weight.view_mut() };
    run(&Cpu::new(), spec, args);
    (values(&idx), values(&weight))
}

#[test]
fn route_ranks_by_logit_then_by_expert() {
    // exp: 2, 1, 4, 2, 1.
    let logits = [2f64.ln(), 0.0, 4f64.ln(), 2f64.ln(), -0.0];
    let (idx, weight) = route(3, Score::SoftmaxAfterTopK, &logits);
    assert_eq!(idx, [2.0, 0.0, 3.0]);
    assert_close(&weight, &[0.5, 0.25, 0.25], 1e-6);
    let (idx, weight) = route(4, Score::SoftmaxBeforeTopK { renormalize: false }, &logits);
    assert_eq!(idx, [2.0, 0.0, 3.0, 1.0]);
    assert_close(&weight, &[0.4, 0.2, 0.2, 0.1], 1e-6);
    let (_, weight) = route(2, Score::SoftmaxBeforeTopK { renormalize: true }, &logits);
    assert_close(&weight, &[4.0 / 6.0, 2.0 / 6.0], 1e-6);
}

#[test]
fn nan_logits_rank_last_and_weigh_nothing() {
    for score in [Score::SoftmaxAfterTopK, Score::SoftmaxBeforeTopK { renormalize: true }] {
        let (idx, weight) = route(3, score, &[NAN, 1.0, -INF, 1.0]);
        assert_eq!(idx, [1.0, 3.0, 2.0]);
        assert_close(&weight, &[0.5, 0.5, 0.0], 1e-6);
        let (idx, weight) = route(2, score, &[NAN, NAN, 5.0]);
        assert_eq!((idx, weight), (vec![2.0, 0.0], vec![1.0, 0.0]));
        for logits in [[NAN, -INF, NAN], [INF, 1.0, 0.0]] {
            let (idx, weight) = route(2, score, &logits);
            assert!(
                idx.iter().all(|e| (0.0..3.0).contains(e)) && weight.iter().all(|w| w.is_nan()),
                "{idx:?} {weight:?}"
            );
        }
    }
}

struct Sorted {
    count: Tensor<Cpu>,
    offset: Tensor<Cpu>,
    assignment: Tensor<Cpu>,
    row: Tensor<Cpu>,
}

impl Sorted {
    fn unwritten(experts: usize, assignments: usize) -> Self {
        let [count, offset, assignment, row] =
            [experts, experts + 1, assignments, assignments].map(|n| unwritten(DType::I32, &[n]));
        Sorted { count, offset, assignment, row }
    }

    fn values(&self) -> [Vec<f64>; 4] {
        [&self.count, &self.offset, &self.assignment, &self.row].map(values)
    }
}

#[test]
fn sort_is_stable_and_puts_strays_last() {
    let (ids, mut out, mut word) = (ints(&[4, 2], &[2, 0, 7, 2, 0, -1, 2, 0]), Sorted::unwritten(3, 8), status());
    let args = SortArgs {
        topk_idx: ids.view(),
        expert_count: out.count.view_mut(),
        expert_offset: out.offset.view_mut(),
        sorted_assignment: out.assignment.view_mut(),
        assignment_to_row: out.row.view_mut(),
        status: Some(word.view_mut()),
    };
    run(&Cpu::new(), SortSpec { tokens: 4, experts: 3, top_k: 2 }, args);
    let want: [&[f64]; 4] = [
        &[3.0, 0.0, 3.0],
        &[0.0, 3.0, 3.0, 6.0],
        &[1.0, 4.0, 7.0, 0.0, 3.0, 6.0, 2.0, 5.0],
        &[3.0, 0.0, 6.0, 4.0, 1.0, 7.0, 5.0, 2.0],
    ];
    assert_eq!(out.values(), want);
    assert_eq!(faults(&word), [Fault::ExpertId]);
}

#[test]
fn dispatch_is_route_and_sort() {
    let route = RouteSpec {
        tokens: 2,
        experts: 3,
        top_k: 2,
        logits: DType::Bf16,
        weight: DType::F32,
        score: Score::SoftmaxAfterTopK,
    };
    let (logits, mut out) = (floats(DType::Bf16, &[2, 3], &[0.0, 2.0, 1.0, 5.0, 3.0, 5.0]), Sorted::unwritten(3, 4));
    let (mut idx, mut weight) = (unwritten(DType::I32, &[2, 2]), unwritten(DType::F32, &[2, 2]));
    let args = DispatchArgs {
        logits: logits.view(),
        topk_idx: idx.view_mut(),
        topk_weight: weight.view_mut(),
        expert_count: out.count.view_mut(),
        expert_offset: out.offset.view_mut(),
        sorted_assignment: out.assignment.view_mut(),
        assignment_to_row: out.row.view_mut(),
    };
    run(&Cpu::new(), DispatchSpec { route }, args);
    assert_eq!(values(&idx), [1.0, 2.0, 0.0, 2.0]);
    let more = 1.0 / (1.0 + (-1f64).exp());
    assert_close(&values(&weight), &[more, 1.0 - more, 0.5, 0.5], 1e-6);
    let want: [&[f64]; 4] = [&[1.0, 1.0, 2.0], &[0.0, 1.0, 2.0, 4.0], &[2.0, 0.0, 1.0, 3.0], &[1.0, 2.0, 0.0, 3.0]];
    assert_eq!(out.values(), want);
}

#[test]
fn permute_brings_rows_out_and_combine_brings_them_back() {
    let x = floats(DType::F16, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let (sorted, mut y, mut word) = (ints(&[4], &[2, 0, 4, 3]), unwritten(DType::F16, &[4, 2]), status());
    let args =
        PermuteArgs { x: x.view(), sorted_assignment: sorted.view(), y: y.view_mut(), status: Some(word.view_mut()) };
    run(&Cpu::new(), PermuteSpec { tokens: 2, top_k: 2, dim: 2, x: DType::F16 }, args);
    assert_eq!(values(&y), [3.0, 4.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    assert_eq!(faults(&word), [Fault::RowIndex]);

    let combine =
        CombineSpec { tokens: 3, rows: 4, top_k: 2, dim: 2, y: DType::F16, weight: DType::F32, out: DType::F32 };
    let (weight, mut out) =
        (floats(DType::F32, &[3, 2], &[2.0, 10.0, 1.0, 1.0, 1.0, NAN]), unwritten(DType::F32, &[3, 2]));
    for (rows, fault) in [([0, 1, -1, -1, 3, -1], vec![]), ([0, 1, 4, -2, 3, -1], vec![Fault::RowIndex])] {
        let (rows, mut word) = (ints(&[6], &rows), status());
        let args = CombineArgs {
            y: y.view(),
            assignment_to_row: rows.view(),
            topk_weight: weight.view(),
            out: out.view_mut(),
            status: Some(word.view_mut()),
        };
        run(&Cpu::new(), combine, args);
        assert_eq!(values(&out), [16.0, 28.0, 0.0, 0.0, 3.0, 4.0]);
        assert_eq!(faults(&word), fault);
    }
}
