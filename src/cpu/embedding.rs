//! Rows of a table by token id.

use super::Arithmetic;
use super::faults::Faults;
use super::provide::provide;
use super::real::Real;
use super::rows::{Rows, RowsMut, ints};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::op::{EmbeddingArgs, EmbeddingSpec, Fault};
use rayon::prelude::*;

provide!(EmbeddingSpec, run);

fn run<R: Real>(op: &EmbeddingSpec, mut args: EmbeddingArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (ids, table, faults) = (ints(&args.ids), Rows::new(&args.table), Faults::none());
    let mut y = RowsMut::new(&mut args.y);
    y.par_rows(0..op.tokens).zip(&ids).for_each(|(mut y, id)| match faults.index(*id, op.vocab, Fault::TokenId) {
        Some(id) => y.write(&table.row::<R>(id)),
        None => y.zero(),
    });
    faults.report(&mut args.status);
    Ok(())
}
