//! Rotary position embedding: a rotation of every pair of every head.

use super::Arithmetic;
use super::faults::Faults;
use super::provide::provide;
use super::real::Real;
use super::rows::{Rows, RowsMut, ints};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::mutation::{Rule, wrong};
use crate::op::{Fault, Pairing, RopeArgs, RopeSpec};
use crate::tensor::View;
use rayon::prelude::*;

provide!(RopeSpec, run);

fn run<R: Real>(op: &RopeSpec, mut args: RopeArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (x, positions, faults) = (Rows::new(&args.x), ints(&args.positions), Faults::none());
    let rotation = Rotation::new(&args.cos, &args.sin, op.pairing, op.head_dim);
    let mut y = RowsMut::new(&mut args.y);
    y.par_rows(0..op.tokens).zip(&positions).enumerate().for_each(|(t, (mut y, position))| {
        let mut heads: Vec<R> = x.row(t);
        rotation.apply(&mut heads, *position, &faults);
        y.write(&heads);
    });
    faults.report(&mut args.status);
    Ok(())
}

/// The tables, and which elements they rotate.
pub(super) struct Rotation<'a> {
    cos: Rows<'a>,
    sin: Rows<'a>,
    pairing: Pairing,
    dim: usize,
}

impl<'a> Rotation<'a> {
    pub(super) fn new(cos: &View<'a, Cpu>, sin: &View<'a, Cpu>, pairing: Pairing, dim: usize) -> Self {
        let pairing = match (pairing, wrong(Rule::PairingSwapped)) {
            (Pairing::HalfSplit, true) => Pairing::Interleaved,
            (Pairing::Interleaved, true) => Pairing::HalfSplit,
            (right, false) => right,
        };
        Rotation { cos: Rows::new(cos), sin: Rows::new(sin), pairing, dim }
    }

    /// Rotates all heads of a token; zeros where the table does not have the position.
    pub(super) fn apply<R: Real>(&self, heads: &mut [R], position: i32, faults: &Faults) {
        let Some(row) = faults.index(position, self.cos.rows(), Fault::Position) else {
            heads.fill(R::zero());
            return;
        };
        let (cos, sin): (Vec<R>, Vec<R>) = (self.cos.row(row), self.sin.row(row));
        for head in heads.chunks_exact_mut(self.dim) {
            for (i, (cos, sin)) in cos.iter().zip(&sin).enumerate() {
                let (a, b) = self.pairing.pair(i, self.dim);
                (head[a], head[b]) = (head[a] * *cos - head[b] * *sin, head[b] * *cos + head[a] * *sin);
            }
        }
    }
}
