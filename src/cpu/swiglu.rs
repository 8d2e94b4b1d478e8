//! The gated unit, alone and as an epilogue.

use super::Arithmetic;
use super::provide::provide;
use super::real::Real;
use super::rows::{Rows, RowsMut};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::mutation::{Rule, wrong};
use crate::op::{GateUp, Swiglu, SwigluArgs, SwigluSpec};
use rayon::prelude::*;

provide!(SwigluSpec, run);

fn run<R: Real>(op: &SwigluSpec, mut args: SwigluArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (unit, gate_up) = (Unit::new(op.swiglu), Rows::new(&args.gate_up));
    let mut y = RowsMut::new(&mut args.y);
    y.par_rows(0..op.rows).enumerate().for_each(|(r, mut y)| y.write(&unit.apply(&gate_up.row::<R>(r))));
    Ok(())
}

/// The unit with its parameters in the type computed in.
pub(super) struct Unit<R> {
    params: Swiglu,
    alpha: R,
    limit: Option<R>,
    up_offset: R,
}

impl<R: Real> Unit<R> {
    pub(super) fn new(mut params: Swiglu) -> Self {
        let mut alpha = params.alpha.0;
        if wrong(Rule::Alpha1) {
            alpha = 1.0;
        } else if wrong(Rule::Alpha1_7) {
            alpha = 1.7;
        }
        if wrong(Rule::GateUpHalves) {
            params.layout = GateUp::Halves;
        }
        let limit = params.limit.filter(|_| !wrong(Rule::NoClamp));
        let up_offset = if wrong(Rule::NoPlusOne) { 0.0 } else { params.up_offset.0 };
        Unit { params, alpha: R::of(alpha), limit: limit.map(|l| R::of(l.0)), up_offset: R::of(up_offset) }
    }

    /// The I outputs of 2I columns.
    pub(super) fn apply(&self, gate_up: &[R]) -> Vec<R> {
        let swapped = wrong(Rule::GateUpSwapped);
        let one = |i| {
            let (gate, up) = self.params.columns(i, gate_up.len());
            let (gate, up) = if swapped { (up, gate) } else { (gate, up) };
            self.value(gate_up[gate], gate_up[up])
        };
        (0..gate_up.len() / 2).map(one).collect()
    }

    fn value(&self, gate: R, up: R) -> R {
        let (mut g, mut u) = (gate, up);
        if let Some(limit) = self.limit {
            g = at_most(g, limit);
            if wrong(Rule::GateClampedBelow) {
                g = -at_most(-g, limit);
            }
            if !wrong(Rule::UpNotClamped) {
                u = -at_most(-at_most(u, limit), limit);
            }
        }
        g / (R::one() + (-self.alpha * g).exp()) * (u + self.up_offset)
    }
}

/// The smaller one, and NaN where `x` is NaN (which `min` would lose).
fn at_most<R: Real>(x: R, limit: R) -> R {
    if x > limit { limit } else { x }
}
