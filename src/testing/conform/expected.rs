//! What results are judged by, and what a backend made of the same inputs: packed, in strided rows, in rows that are not aligned.

use super::{Bound, Conform, Judged};
use crate::backend::{Hint, Provide, Runtime};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::op::Operand;
use crate::testing::harness::{self, Inputs, Options, Outputs};

/// What a backend made of an op's inputs.
pub(super) struct Got {
    plain: Outputs,
    strided: Outputs,
    /// Where strides can take the alignment from an operand.
    unaligned: Option<Outputs>,
}

/// Elements between rows: with these they stay at multiples of 16 bytes in every type, with those in none.
const ALIGNED_GAP: usize = 24;
const ODD_GAP: usize = 25;

impl Got {
    /// Refused before anything is computed where the variant does not run it.
    pub(super) fn of<O: Conform, B: Runtime + Provide<O>>(
        backend: &B,
        op: &O,
        inputs: &Inputs,
        variant: Option<&str>,
    ) -> Result<Self, Error> {
        let hint = Hint { variant, ..Hint::default() };
        let plain = harness::run_twice(backend, op, inputs, Options { hint, ..Options::default() })?;
        let apart =
            |row_gap| harness::run(backend, op, inputs, Options { hint, row_gap, raw_scratch: true, spread: false });
        let strided = apart(ALIGNED_GAP)?;
        // A spec that runs is not skipped for its strides: no variant may ask for an alignment of rows.
        let unaligned = || {
            apart(ODD_GAP).map_err(|e| match e {
                Error::Unsupported { reason, .. } => Error::input("operands whose rows are not aligned", reason),
                e => e,
            })
        };
        let unaligned = loses_alignment(op).then(unaligned).transpose()?;
        Ok(Got { plain, strided, unaligned })
    }
}

/// Has the op operands that may be strided and whose packed rows all begin at multiples of 16 bytes?
fn loses_alignment<O: Conform>(op: &O) -> bool {
    let packed = |o: &Operand| (o.shape.row_len() * o.dtype.bytes()).is_multiple_of(16);
    op.operands().iter().any(|o| o.strided && o.shape.dims()[0] > 1 && packed(o))
}

/// What results of an op on some inputs are judged by: computed once, for any number of variants.
pub struct Expected<'a, O> {
    op: &'a O,
    inputs: &'a Inputs,
    oracle: Outputs,
    twin: Outputs,
    bounds: Vec<(&'static str, Bound)>,
}

impl<'a, O: Conform> Expected<'a, O>
where
    Cpu: Provide<O>,
{
    /// # Errors
    /// Of the reference.
    pub fn new(op: &'a O, inputs: &'a Inputs) -> Result<Self, Error> {
        let oracle = harness::run(&Cpu::oracle(), &op.oracle(), inputs, Options::default())?;
        let twin = harness::run(&Cpu::twin(), op, inputs, Options::default())?;
        let bounds = op.bounds(inputs, &oracle)?;
        Ok(Expected { op, inputs, oracle, twin, bounds })
    }

    /// As [`judge_on`](super::judge_on).
    ///
    /// # Errors
    /// As [`judge_on`](super::judge_on).
    pub fn judge_on<B: Runtime + Provide<O>>(&self, backend: &B, variant: Option<&str>) -> Result<Judged, Error> {
        self.judge(&Got::of(backend, self.op, self.inputs, variant)?)
    }

    pub(super) fn judge(&self, got: &Got) -> Result<Judged, Error> {
        let mut judged = Judged::default();
        judged.same_bits(&got.plain, &got.strided);
        judged.outputs(&got.plain, &self.oracle, &self.twin, &self.bounds, self.op.accumulation())?;
        // The same bits are as right as the others.
        if let Some(unaligned) = got.unaligned.as_ref().filter(|u| u.differs(&got.plain).is_some()) {
            let mut other = Judged::default();
            other.outputs(unaligned, &self.oracle, &self.twin, &self.bounds, self.op.accumulation())?;
            judged.worst = judged.worst.max(other.worst);
            judged.wrong.extend(other.wrong.into_iter().map(|words| format!("rows not aligned: {words}")));
        }
        Ok(judged)
    }
}
