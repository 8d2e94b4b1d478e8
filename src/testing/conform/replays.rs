//! Calls recorded once and replayed on other operands: lengths, offsets, ids, pages and data are read when they run.

use super::{Conform, PerOp, every_op, of_error};
use crate::backend::{Hint, Provide, Replay};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::kernel::AllOps;
use crate::op::cases::Case;
use crate::testing::harness::{self, Inputs, Options};
use crate::testing::random::Random;
use crate::testing::report::{Filter, Report, Row, Status};

/// Each case that the filter takes, recorded on some operands and replayed on those, on others and on the first again:
/// passes where each result is that of a direct call on the same operands, bit for bit, the status word included.
pub fn replays<B: Replay + AllOps>(backend: &B, filter: &Filter, mut progress: impl FnMut(&Row)) -> Report {
    let mut replay = Replays { backend, filter, progress: &mut progress, report: Report::default() };
    every_op(&mut replay);
    replay.report
}

struct Replays<'a, B> {
    backend: &'a B,
    filter: &'a Filter,
    progress: &'a mut dyn FnMut(&Row),
    report: Report,
}

impl<B: Replay> PerOp<B> for Replays<'_, B> {
    fn op<O: Conform>(&mut self)
    where
        B: Provide<O>,
        Cpu: Provide<O>,
    {
        for case in O::cases().into_iter().filter(|c| self.filter.takes(O::NAME, &c.name)) {
            let (status, message) = match replay(self.backend, &case, self.filter.variant.as_deref()) {
                Ok(None) => (Status::Passed, String::new()),
                Ok(Some(words)) => (Status::Failed, words),
                Err(e) => (of_error(&e), e.to_string()),
            };
            let (op, backend) = (O::NAME.into(), B::NAME.into());
            let row = Row { op, backend, case: case.name, status, worst: None, message };
            (self.progress)(&row);
            self.report.rows.push(row);
        }
    }
}

/// What differs, in words.
fn replay<O: Conform, B: Replay + Provide<O>>(
    backend: &B,
    case: &Case<O>,
    variant: Option<&str>,
) -> Result<Option<String>, Error> {
    let options = Options { hint: Hint { variant, ..Hint::default() }, ..Options::default() };
    let load = |which| case.op.fill(case.data, &mut Random::named(&format!("{} {} {which}", O::NAME, case.name)));
    let loads: [Inputs; 3] = [load("first")?, load("second")?, load("first")?];
    let replayed = harness::replay(backend, &case.op, &loads, options)?;
    for (nth, (got, inputs)) in replayed.iter().zip(&loads).enumerate() {
        let direct = harness::run(backend, &case.op, inputs, options)?;
        if let Some(name) = got.differs(&direct) {
            return Ok(Some(format!("{name}: replay {nth} differs from a direct call on the same operands")));
        }
    }
    Ok(None)
}
