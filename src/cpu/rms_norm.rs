//! Root-mean-square norm, row by row.

use super::Arithmetic;
use super::provide::provide;
use super::real::{Real, dot, rounded};
use super::rows::{Rows, RowsMut};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::mutation::{Rule, wrong};
use crate::op::{RmsNormArgs, RmsNormSpec};
use rayon::prelude::*;

provide!(RmsNormSpec, run);

fn run<R: Real>(op: &RmsNormSpec, mut args: RmsNormArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (x, residual) = (Rows::new(&args.x), args.residual.as_ref().map(Rows::new));
    let weight: Vec<R> = Rows::new(&args.weight).row(0);
    let eps = R::of(if wrong(Rule::Eps1e6) { 1e-6 } else { op.eps.0 });
    let mut sums: Vec<Vec<R>> = (0..op.rows).into_par_iter().map(|r| x.row(r)).collect();
    if let Some(residual) = residual {
        sums.par_iter_mut().enumerate().for_each(|(r, row)| {
            for (s, add) in row.iter_mut().zip(residual.row::<R>(r)) {
                *s = rounded(op.x, *s + add);
            }
        });
    }
    if let Some(sum) = &mut args.sum {
        RowsMut::new(sum).par_rows(0..op.rows).zip(&sums).for_each(|(mut sum, row)| sum.write(row));
    }
    let mut y = RowsMut::new(&mut args.y);
    y.par_rows(0..op.rows).zip(&sums).for_each(|(mut y, row)| y.write(&normed(row, &weight, eps)));
    Ok(())
}

fn normed<R: Real>(s: &[R], weight: &[R], eps: R) -> Vec<R> {
    let mean = dot(s, s) / R::of(s.len() as f64);
    let root = if wrong(Rule::EpsOutsideMean) { mean.sqrt() + eps } else { (mean + eps).sqrt() };
    let weighted = !wrong(Rule::NormWeightIgnored);
    s.iter().zip(weight).map(|(s, w)| if weighted { *s / root * *w } else { *s / root }).collect()
}
