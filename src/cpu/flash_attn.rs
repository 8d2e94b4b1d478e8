//! Attention with sinks, one query row and head at a time: scores of the visible keys, their maximum, the weighted sum.
//!
//! In the twin `p = exp(z - max)` is rounded to the type of the values (of f8e4m3 ones f16) before it meets them, as tensor cores take it; the
//! sum of the row is that of the unrounded p, which kernels keep in f32.

use super::cache::{Cache, Sequence, page_size, sequences};
use super::faults::Faults;
use super::provide::provide;
use super::real::{Real, dot, rounded};
use super::rows::{Rows, RowsMut};
use super::{Arithmetic, Cpu};
use crate::error::Error;
use crate::mutation::{Rule, wrong};
use crate::op::{FlashAttnArgs, FlashAttnSpec, Lse, Mask};
use rayon::prelude::*;
use std::ops::Range;

provide!(FlashAttnSpec, run);

fn run<R: Real>(op: &FlashAttnSpec, mut args: FlashAttnArgs<'_, Cpu>, arithmetic: Arithmetic) -> Result<(), Error> {
    let faults = Faults::none();
    let sequences = sequences(op, &args, &faults);
    let mut owner: Vec<Option<&Sequence>> = vec![None; op.q_tokens];
    for sequence in &sequences {
        owner[sequence.q.clone()].fill(Some(sequence));
    }
    let attention = Attention::<R>::new(op, &args, arithmetic, &faults);
    let mut out = RowsMut::new(&mut args.out);
    let lse: Vec<Option<R>> = out
        .par_pieces(0..op.q_tokens, op.q_heads)
        .enumerate()
        .map(|(i, mut out)| {
            let (row, head) = (i / op.q_heads, i % op.q_heads);
            let (o, lse) = attention.attend(owner[row]?, row, head);
            out.write(&o);
            Some(lse)
        })
        .collect();
    if let Some(view) = &mut args.lse {
        RowsMut::new(view).par_pieces(0..op.q_tokens, op.q_heads).zip(lse).for_each(|(mut place, lse)| {
            if let Some(lse) = lse {
                place.write(&[lse]);
            }
        });
    }
    faults.report(&mut args.status);
    Ok(())
}

struct Attention<'a, R> {
    op: &'a FlashAttnSpec,
    q: Rows<'a>,
    cache: Cache<'a>,
    sinks: Option<Vec<R>>,
    sm_scale: R,
    round_p: bool,
    faults: &'a Faults,
}

impl<'a, R: Real> Attention<'a, R> {
    fn new(op: &'a FlashAttnSpec, args: &FlashAttnArgs<'a, Cpu>, arithmetic: Arithmetic, faults: &'a Faults) -> Self {
        let sm_scale = R::of(op.sm_scale.0);
        let sinks = args.sinks.as_ref().filter(|_| !wrong(Rule::SinkIgnored)).map(|sinks| {
            let mut sinks: Vec<R> = Rows::new(sinks).row(0);
            if wrong(Rule::SinkScaled) {
                sinks.iter_mut().for_each(|s| *s = *s * sm_scale);
            }
            sinks
        });
        Attention {
            op,
            q: Rows::new(&args.q),
            cache: Cache::new(op, args),
            sinks,
            sm_scale,
            round_p: arithmetic == Arithmetic::Twin,
            faults,
        }
    }

    /// One row and head: its output and its log-sum-exp.
    fn attend(&self, sequence: &Sequence, row: usize, head: usize) -> (Vec<R>, R) {
        let (op, zero) = (self.op, R::zero());
        let group = op.q_heads / op.kv_heads;
        let kv_head = if wrong(Rule::GqaModulo) { head % op.kv_heads } else { head / group };
        let (mut q, mut kv) = (vec![zero; op.head_dim], vec![zero; op.head_dim]);
        self.q.read(row, head * op.head_dim, &mut q);

        // Slot and score of each visible key.
        let mut scores: Vec<(usize, R)> = Vec::new();
        for j in visible(op.mask, position(sequence, row), sequence.k_len) {
            let Some(slot) = self.cache.slot(sequence, j, self.faults) else { continue };
            self.cache.key(slot, kv_head, &mut kv);
            scores.push((slot, self.sm_scale * dot(&q, &kv)));
        }
        if wrong(Rule::UnusedSlotsRead) {
            let rest = sequence.k_len..sequence.k_len.next_multiple_of(page_size(op.store));
            let slots = rest.filter_map(|j| self.cache.slot(sequence, j, self.faults));
            scores.extend(slots.map(|slot| (slot, R::neg_infinity())));
        }

        let mut out = vec![zero; op.head_dim];
        let max = scores.iter().fold(R::neg_infinity(), |max, (_, z)| max.max(*z));
        let sink = self.sinks.as_ref().map(|sinks| sinks[head]);
        // A NaN score is no maximum, but not nothing either.
        if scores.iter().all(|(_, z)| *z == R::neg_infinity()) {
            return (out, self.lse(R::neg_infinity(), sink));
        }
        let mut sum = zero;
        for (slot, z) in scores {
            let p = (z - max).exp();
            sum += p;
            let p = if self.round_p { rounded(op.probability(), p) } else { p };
            self.cache.value(slot, kv_head, &mut kv);
            for (out, v) in out.iter_mut().zip(&kv) {
                *out += p * *v;
            }
        }
        let total = sum + sink.map_or(zero, |sink| (sink - max).exp());
        out.iter_mut().for_each(|out| *out = *out / total);
        (out, self.lse(max + sum.ln(), sink))
    }

    /// The log-sum-exp asked for, from that of the keys.
    fn lse(&self, keys: R, sink: Option<R>) -> R {
        let with_sink = (self.op.lse == Lse::WithSink) != wrong(Rule::LseSinkFlipped);
        let lse = match sink {
            Some(sink) if with_sink => log_add_exp(keys, sink),
            _ => keys,
        };
        if wrong(Rule::LseBase2) { lse / R::of(std::f64::consts::LN_2) } else { lse }
    }
}

/// `ln(exp(a) + exp(b))`.
fn log_add_exp<R: Real>(a: R, b: R) -> R {
    let (more, less) = if a > b { (a, b) } else { (b, a) };
    if less == R::neg_infinity() { more } else { more + (less - more).exp().ln_1p() }
}

/// Position of a query row among its sequence's keys: bottom right.
fn position(sequence: &Sequence, row: usize) -> i64 {
    let r = (row - sequence.q.start) as i64;
    if wrong(Rule::CausalTopLeft) { r } else { sequence.k_len as i64 - sequence.q.len() as i64 + r }
}

/// The keys of [`Mask::visible`] among `k_len`, which are neighbours: what lies outside is not even looked at.
fn visible(mask: Mask, i: i64, k_len: usize) -> Range<usize> {
    let causal = mask != Mask::Bidirectional && !wrong(Rule::CausalIgnored);
    let end = if causal { usize::try_from(i + 1).unwrap_or(0).min(k_len) } else { k_len };
    let window = mask
        .window()
        .filter(|_| !wrong(Rule::WindowIgnored))
        .map(|w| w.saturating_add(usize::from(wrong(Rule::WindowPlus1))) - usize::from(wrong(Rule::WindowMinus1)));
    let start = window.map_or(0, |w| {
        let first = (i + 1).saturating_sub(i64::try_from(w).unwrap_or(i64::MAX));
        usize::try_from(first).unwrap_or(0)
    });
    start.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Window;

    #[test]
    fn visible_is_the_range_of_the_mask() {
        let windows = [1, 2, 5, usize::MAX].map(|w| Mask::Sliding(Window::VisibleKeys(w)));
        let before = Mask::Sliding(Window::KeysBefore(3));
        for mask in [Mask::Bidirectional, Mask::Causal, before].into_iter().chain(windows) {
            for (i, k_len) in (-3..9).flat_map(|i| [0usize, 1, 6].map(|k| (i, k))) {
                let one_by_one: Vec<usize> = (0..k_len).filter(|j| mask.visible(i, *j as i64)).collect();
                assert_eq!(visible(mask, i, k_len).collect::<Vec<_>>(), one_by_one, "{mask:?} {i} of {k_len}");
            }
        }
    }

    #[test]
    fn log_add_exp_does_not_overflow() {
        assert_eq!(log_add_exp(1000f32, -1000.0), 1000.0);
        assert_eq!(log_add_exp(f32::NEG_INFINITY, f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert_eq!(log_add_exp(0f64, 0.0), std::f64::consts::LN_2);
        assert!(log_add_exp(f32::NAN, 1.0).is_nan() && log_add_exp(1.0, f32::NAN).is_nan());
    }
}
