//! Operands and bounds of dispatch.

use super::{Bound, Conform, Inputs, U, magnitudes};
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::cases::{Cases, Data};
use crate::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, SortSpec};
use crate::testing::harness::{self, Options, Outputs};
use crate::testing::random::Random;

impl Conform for RouteSpec {
    /// With ties in every row; the extreme ones also with NaN, infinities and rows of nothing else.
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let (t, e) = (self.tokens, self.experts);
        let mut values: Vec<f64> = (0..t * e).map(|_| (random.unit() - 0.5) * 16.0).collect();
        for row in values.chunks_exact_mut(e) {
            let (a, b) = (random.below(e), random.below(e));
            row[a] = row[b];
        }
        if data == Data::Extreme {
            let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 60000.0, -60000.0, 0.0, -0.0];
            for (i, row) in values.chunks_exact_mut(e).enumerate() {
                match i {
                    0 => row.fill(f64::NAN),
                    1 => row.fill(f64::NEG_INFINITY),
                    // All equal.
                    2 => row.fill(1.5),
                    3 => row.iter_mut().enumerate().for_each(|(j, x)| *x = if j % 3 == 0 { 100.0 } else { -100.0 }),
                    // One infinity would make every weight NaN: only where nothing is asked but that.
                    4 => row[0] = odd[1],
                    _ => row
                        .iter_mut()
                        .for_each(|x| *x = [odd[0], odd[2], odd[3], odd[4], odd[5], odd[6], *x][random.below(7)]),
                }
            }
        }
        Ok(vec![("logits", HostTensor::from_f64(self.logits, &[t, e], &values)?)])
    }

    fn oracle(&self) -> Self {
        RouteSpec { weight: DType::F64, ..*self }
    }

    /// A weight is `exp(l - max) / Σ exp(l - max)`: the argument's rounding is relative to `|l - max| <= -ln weight`, the sum's
    /// and the exponentials' are counted in [`Cases::accumulation`]. A weight that is subnormal in f32 may be flushed.
    fn bounds(&self, _: &Inputs, oracle: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let weights = oracle.get("topk_weight")?.to_f64();
        let off = |w: &f64| if *w > 0.0 { (self.accumulation() - 2.0 * w.ln()) * U * w } else { 0.0 };
        let bound = weights.iter().map(|w| off(w) + f64::from(f32::MIN_POSITIVE)).collect();
        Ok(vec![("topk_weight", Bound::Within(bound))])
    }
}

impl Conform for DispatchSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        self.route.fill(data, random)
    }

    fn oracle(&self) -> Self {
        DispatchSpec { route: self.route.oracle() }
    }

    fn bounds(&self, inputs: &Inputs, oracle: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        self.route.bounds(inputs, oracle)
    }
}

impl Conform for SortSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let mut ids = Vec::with_capacity(self.tokens * self.top_k);
        for _ in 0..self.tokens {
            let mut experts: Vec<i32> = (0..self.experts as i32).collect();
            random.shuffle(&mut experts);
            ids.extend_from_slice(&experts[..self.top_k]);
        }
        if data == Data::Faulty {
            for (id, bad) in ids.iter_mut().step_by(3).zip([-1, self.experts as i32, i32::MIN, i32::MAX]) {
                *id = bad;
            }
        }
        Ok(vec![("topk_idx", HostTensor::from_i32(&[self.tokens, self.top_k], &ids)?)])
    }

    fn oracle(&self) -> Self {
        *self
    }

    fn bounds(&self, _: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        Ok(Vec::new())
    }
}

/// A permutation of `0..n`, some of it out of range where the data is faulty.
fn permutation(n: usize, data: Data, random: &mut Random) -> Result<HostTensor, Error> {
    let mut list: Vec<i32> = (0..n as i32).collect();
    random.shuffle(&mut list);
    if data == Data::Faulty {
        for (entry, bad) in list.iter_mut().step_by(4).zip([-7, n as i32, i32::MAX]) {
            *entry = bad;
        }
    }
    HostTensor::from_i32(&[n], &list)
}

impl Conform for PermuteSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let x = random.reals(self.x, &[self.tokens, self.dim], -20.0, 14.0)?;
        Ok(vec![("x", x), ("sorted_assignment", permutation(self.tokens * self.top_k, data, random)?)])
    }

    fn oracle(&self) -> Self {
        *self
    }

    fn bounds(&self, _: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        Ok(Vec::new())
    }
}

impl Conform for CombineSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let (low, high) = if data == Data::Extreme { (-100.0, 100.0) } else { (-10.0, 8.0) };
        let mut rows = permutation(self.tokens * self.top_k, data, random)?.to_i32().unwrap_or_default();
        for row in rows.iter_mut().skip(1).step_by(5) {
            *row = -1;
        }
        Ok(vec![
            ("y", random.reals(self.y, &[self.rows, self.dim], low, high)?),
            ("assignment_to_row", HostTensor::from_i32(&[rows.len()], &rows)?),
            ("topk_weight", random.reals(self.weight, &[self.tokens, self.top_k], -8.0, 0.0)?),
        ])
    }

    fn oracle(&self) -> Self {
        CombineSpec { out: DType::F64, ..*self }
    }

    /// `c u Σ |w| |y|`.
    fn bounds(&self, inputs: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let run = harness::run(&Cpu::oracle(), &self.oracle(), &magnitudes(inputs)?, Options::default())?;
        let flushed = (self.top_k + 1) as f64 * f64::from(f32::MIN_POSITIVE);
        let bound = run.get("out")?.to_f64().iter().map(|a| self.accumulation() * U * a + flushed).collect();
        Ok(vec![("out", Bound::Within(bound))])
    }
}
