//! The largest element of each row.

use super::Arithmetic;
use super::provide::provide;
use super::real::Real;
use super::rows::{Rows, RowsMut};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::op::{ArgmaxArgs, ArgmaxSpec};
use rayon::prelude::*;

provide!(ArgmaxSpec, run);

fn run<R: Real>(op: &ArgmaxSpec, mut args: ArgmaxArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let x = Rows::new(&args.x);
    let ids: Vec<i32> = (0..op.rows).into_par_iter().map(|r| largest(&x.row::<R>(r))).collect();
    RowsMut::new(&mut args.ids).piece(0, 0, op.rows).write_ints(&ids);
    Ok(())
}

fn largest<R: Real>(row: &[R]) -> i32 {
    if row.iter().any(|v| v.is_nan() || *v == R::infinity()) {
        return -1;
    }
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }) as i32
}
