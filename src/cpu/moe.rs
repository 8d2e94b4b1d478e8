//! Dropless dispatch: routing, the stable counting sort, permuting, combining.

use super::Arithmetic;
use super::faults::Faults;
use super::provide::provide;
use super::real::Real;
use super::rows::{Rows, RowsMut, ints};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::mutation::{Rule, wrong};
use crate::op::Fault;
use crate::op::moe::{
    CombineArgs, CombineSpec, DispatchArgs, DispatchSpec, PermuteArgs, PermuteSpec, RouteArgs, RouteSpec, Score,
    SortArgs, SortSpec,
};
use crate::tensor::{View, ViewMut};
use rayon::prelude::*;
use std::cmp::Ordering;

provide!(RouteSpec, run_route);
provide!(SortSpec, run_sort);
provide!(DispatchSpec, run_dispatch);
provide!(PermuteSpec, run_permute);
provide!(CombineSpec, run_combine);

fn run_route<R: Real>(op: &RouteSpec, mut args: RouteArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    route::<R>(op, &args.logits, &mut args.topk_idx, &mut args.topk_weight);
    Ok(())
}

fn run_sort<R: Real>(op: &SortSpec, mut args: SortArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (sorted, faults) = (sort(op, &ints(&args.topk_idx)), Faults::none());
    if sorted.strays {
        faults.add(Fault::ExpertId);
    }
    sorted.store([
        &mut args.expert_count,
        &mut args.expert_offset,
        &mut args.sorted_assignment,
        &mut args.assignment_to_row,
    ]);
    faults.report(&mut args.status);
    Ok(())
}

fn run_dispatch<R: Real>(op: &DispatchSpec, mut args: DispatchArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    route::<R>(&op.route, &args.logits, &mut args.topk_idx, &mut args.topk_weight);
    sort(&op.sort(), &ints(&args.topk_idx.as_view())).store([
        &mut args.expert_count,
        &mut args.expert_offset,
        &mut args.sorted_assignment,
        &mut args.assignment_to_row,
    ]);
    Ok(())
}

fn run_permute<R: Real>(op: &PermuteSpec, mut args: PermuteArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (x, sorted, faults) = (Rows::new(&args.x), ints(&args.sorted_assignment), Faults::none());
    let assignments = op.tokens * op.top_k;
    let mut y = RowsMut::new(&mut args.y);
    y.par_rows(0..assignments).zip(&sorted).for_each(|(mut y, a)| {
        match faults.index(*a, assignments, Fault::RowIndex) {
            Some(a) => y.write(&x.row::<R>(a / op.top_k)),
            None => y.zero(),
        }
    });
    faults.report(&mut args.status);
    Ok(())
}

fn run_combine<R: Real>(op: &CombineSpec, mut args: CombineArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (y, row_of, faults) = (Rows::new(&args.y), ints(&args.assignment_to_row), Faults::none());
    let weights = Rows::new(&args.topk_weight);
    let mut out = RowsMut::new(&mut args.out);
    out.par_rows(0..op.tokens).zip(row_of.par_chunks_exact(op.top_k)).enumerate().for_each(|(t, (mut out, rows))| {
        let mut sum = vec![R::zero(); op.dim];
        for (weight, row) in weights.row::<R>(t).into_iter().zip(rows) {
            if *row == -1 {
                continue;
            }
            if let Some(row) = faults.index(*row, op.rows, Fault::RowIndex) {
                add_weighted(&mut sum, weight, &y.row(row));
            }
        }
        out.write(&sum);
    });
    faults.report(&mut args.status);
    Ok(())
}

/// `sum += weight · row`: one summand of a combine.
pub(super) fn add_weighted<R: Real>(sum: &mut [R], weight: R, row: &[R]) {
    if wrong(Rule::ScatterOverwrites) {
        sum.fill(R::zero());
    }
    let weight = if wrong(Rule::ScatterUnweighted) { R::one() } else { weight };
    for (sum, y) in sum.iter_mut().zip(row) {
        *sum += weight * *y;
    }
}

fn route<R: Real>(
    op: &RouteSpec,
    logits: &View<'_, Cpu>,
    topk_idx: &mut ViewMut<'_, Cpu>,
    topk_weight: &mut ViewMut<'_, Cpu>,
) {
    let logits = Rows::new(logits);
    let (mut topk_idx, mut topk_weight) = (RowsMut::new(topk_idx), RowsMut::new(topk_weight));
    let rows = topk_idx.par_rows(0..op.tokens).zip(topk_weight.par_rows(0..op.tokens));
    rows.enumerate().for_each(|(t, (mut idx, mut weight))| {
        let logits: Vec<R> = logits.row(t);
        let chosen = ranked(&logits, op.top_k);
        idx.write_ints(&chosen.iter().map(|e| *e as i32).collect::<Vec<_>>());
        weight.write(&weights(&logits, &chosen, op.score));
    });
}

/// The k experts of the largest logits, descending; equal logits by lower expert, NaN last.
fn ranked<R: Real>(logits: &[R], top_k: usize) -> Vec<usize> {
    let mut experts: Vec<usize> = (0..logits.len()).collect();
    if wrong(Rule::TieHighestIndex) {
        experts.reverse();
    }
    // A stable sort: what compares equal keeps its order.
    experts.sort_by(|a, b| {
        let (a, b) = (logits[*a], logits[*b]);
        a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal))
    });
    experts.truncate(top_k);
    if wrong(Rule::TopkAscending) {
        experts.reverse();
    }
    experts
}

/// Weights of the chosen experts. An infinite logit follows the formula: inf - inf is NaN, and with it every weight of the token.
fn weights<R: Real>(logits: &[R], chosen: &[usize], score: Score) -> Vec<R> {
    // A NaN logit counts as -inf.
    let logits: Vec<R> = logits.iter().map(|l| if l.is_nan() { R::neg_infinity() } else { *l }).collect();
    let picked: Vec<R> = chosen.iter().map(|e| logits[*e]).collect();
    let (after, renormalize) = match score {
        Score::SoftmaxAfterTopK => (true, false),
        Score::SoftmaxBeforeTopK { renormalize } => (false, renormalize),
    };
    let after = after != wrong(Rule::SoftmaxOtherSide);
    let mut weights = softmax(&picked, if after { &picked } else { &logits });
    if !after && renormalize != wrong(Rule::RenormalizeFlipped) {
        let sum = weights.iter().fold(R::zero(), |sum, w| sum + *w);
        weights.iter_mut().for_each(|w| *w = *w / sum);
    }
    weights
}

/// `exp(x) / Σ_over exp`, shifted by the largest of `over`.
fn softmax<R: Real>(x: &[R], over: &[R]) -> Vec<R> {
    let max = over.iter().fold(R::neg_infinity(), |m, x| m.max(*x));
    let sum = over.iter().fold(R::zero(), |sum, x| sum + (*x - max).exp());
    x.iter().map(|x| (*x - max).exp() / sum).collect()
}

/// Results of the sort, as in [`SortArgs`].
struct Sorted {
    count: Vec<i32>,
    offset: Vec<i32>,
    assignment: Vec<i32>,
    row: Vec<i32>,
    /// Some expert ids were out of range.
    strays: bool,
}

/// The stable counting sort. Ids outside the experts count for a bucket behind the last. `check` keeps counts within i32.
fn sort(op: &SortSpec, ids: &[i32]) -> Sorted {
    let bucket = |id: &i32| usize::try_from(*id).map_or(op.experts, |e| e.min(op.experts));
    let mut count = vec![0i32; op.experts + 1];
    for id in ids {
        count[bucket(id)] += 1;
    }
    let before = |sum: &mut i32, n: &i32| {
        *sum += n;
        Some(*sum - n)
    };
    // The offset of the bucket behind the last expert is where the experts' rows end.
    let offset: Vec<i32> = count.iter().scan(0, before).collect();
    let (mut next, mut assignment, mut row) = (offset.clone(), vec![0; ids.len()], vec![0; ids.len()]);
    let mut order: Vec<usize> = (0..ids.len()).collect();
    if wrong(Rule::PermuteUnstable) {
        order.reverse();
    }
    for a in order {
        let next = &mut next[bucket(&ids[a])];
        assignment[*next as usize] = a as i32;
        row[a] = *next;
        *next += 1;
    }
    let strays = count.pop() != Some(0);
    Sorted { count, offset, assignment, row, strays }
}

impl Sorted {
    fn store(&self, into: [&mut ViewMut<'_, Cpu>; 4]) {
        for (view, values) in into.into_iter().zip([&self.count, &self.offset, &self.assignment, &self.row]) {
            RowsMut::new(view).piece(0, 0, values.len()).write_ints(values);
        }
    }
}
