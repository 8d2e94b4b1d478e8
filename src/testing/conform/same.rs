//! Results that must be the same bits however a call is made.

use super::{Conform, PerOp, every_op, of_error};
use crate::backend::{Hint, Provide, Replay};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::kernel::AllOps;
use crate::op::cases::Case;
use crate::testing::harness::{self, Inputs, Options};
use crate::testing::random::Random;
use crate::testing::report::{Filter, Report, Row, Status};

/// Another way to make a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Same {
    /// Recorded on some operands and replayed on those, on others and on the first again: lengths, offsets, ids, pages and
    /// data are read when a call runs.
    Replayed,
    /// Rows spread over more than 2^31 elements: offsets are 64-bit.
    Spread,
}

/// Each case that the filter takes, made that other way: passes where every result is that of a direct call on the same
/// operands, bit for bit, the status word included.
pub fn same<B: Replay + AllOps>(backend: &B, how: Same, filter: &Filter, mut progress: impl FnMut(&Row)) -> Report {
    let mut check = Check { backend, how, filter, progress: &mut progress, report: Report::default() };
    every_op(&mut check);
    check.report
}

struct Check<'a, B> {
    backend: &'a B,
    how: Same,
    filter: &'a Filter,
    progress: &'a mut dyn FnMut(&Row),
    report: Report,
}

impl<B: Replay> PerOp<B> for Check<'_, B> {
    fn op<O: Conform>(&mut self)
    where
        B: Provide<O>,
        Cpu: Provide<O>,
    {
        for case in O::cases().into_iter().filter(|c| self.filter.takes(O::NAME, &c.name)) {
            let options = Options {
                hint: Hint { variant: self.filter.variant.as_deref(), ..Hint::default() },
                ..Options::default()
            };
            let differs = match self.how {
                Same::Replayed => replayed(self.backend, &case, options),
                Same::Spread => spread(self.backend, &case, options),
            };
            let (status, message) = match differs {
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

fn load<O: Conform>(case: &Case<O>, which: &str) -> Result<Inputs, Error> {
    case.op.fill(case.data, &mut Random::named(&format!("{} {} {which}", O::NAME, case.name)))
}

/// What differs, in words; so below.
fn replayed<O: Conform, B: Replay + Provide<O>>(
    backend: &B,
    case: &Case<O>,
    options: Options<'_>,
) -> Result<Option<String>, Error> {
    let loads: [Inputs; 3] = [load(case, "first")?, load(case, "second")?, load(case, "first")?];
    let replayed = harness::replay(backend, &case.op, &loads, options)?;
    for (nth, (got, inputs)) in replayed.iter().zip(&loads).enumerate() {
        let direct = harness::run(backend, &case.op, inputs, options)?;
        if let Some(name) = got.differs(&direct) {
            return Ok(Some(format!("{name}: replay {nth} differs from a direct call on the same operands")));
        }
    }
    Ok(None)
}

fn spread<O: Conform, B: Replay + Provide<O>>(
    backend: &B,
    case: &Case<O>,
    options: Options<'_>,
) -> Result<Option<String>, Error> {
    let inputs = load(case, "spread")?;
    let packed = harness::run(backend, &case.op, &inputs, options)?;
    let spread = harness::run(backend, &case.op, &inputs, Options { spread: true, ..options })?;
    Ok(spread.differs(&packed).map(|name| format!("{name}: differs where rows are far apart")))
}
