//! The same rows timed by somebody else: what a harness of its own statistics drives.

use super::catalog::{self, Case};
use super::measure::{Pace, Times};
use super::report::Skipped;
use super::{Options, Runner};
use crate::backend::Timing;
use crate::error::Error;
use crate::kernel::AllOps;
use crate::testing::random::Random;
use std::cell::RefCell;

/// Makes at least as many calls of a row as it is asked for, and says how many seconds a call took.
pub type Calls<'a> = dyn FnMut(usize) -> Result<f64, Error> + 'a;

/// What a row's calls are handed to.
pub(super) type Clock<'a> = RefCell<&'a mut dyn FnMut(&mut Calls<'_>) -> Result<(), Error>>;

/// Prepares every row that is asked for as [`run`](super::run) does, and hands its calls to `timed` with the names of its op and
/// case and its tokens. Results are not looked at. What the backend does not run is returned.
///
/// # Errors
/// As [`run`](super::run), and what `timed` returns.
pub fn timed_elsewhere<B: Timing + AllOps>(
    backend: &B,
    options: &Options,
    mut timed: impl FnMut(&str, &str, usize, &mut Calls<'_>) -> Result<(), Error>,
) -> Result<Vec<Skipped>, Error> {
    let cases = catalog::cases(&options.select).map_err(|e| Error::input("bench", e))?;
    let (mut kept, mut skipped) = (None, Vec::new());
    for Case { op, case, tokens, what } in &cases {
        if !what.has_experts() {
            kept = None;
        }
        for &tokens in tokens {
            let mut hand_over = |calls: &mut Calls<'_>| timed(op, case, tokens, calls);
            let clock: Clock<'_> = RefCell::new(&mut hand_over);
            let random = Random::named("dropless bench");
            let (pace, clock) = (Pace::Rested, Some(&clock));
            let mut runner = Runner { backend, options, random, kept, held: None, pace, looks: false, clock };
            let measured = runner.case(*what, tokens);
            kept = runner.kept;
            match measured {
                Ok(_) => {}
                Err(Error::Unsupported { reason, .. }) => {
                    skipped.push(Skipped { op: (*op).into(), case: case.clone(), tokens, reason });
                }
                Err(e) => return Err(e),
            }
        }
    }
    Ok(skipped)
}

/// Has `clock` time rounds over all sets.
pub(super) fn by<B: Timing>(
    backend: &B,
    sets: usize,
    clock: &Clock<'_>,
    call: impl Fn(usize, &mut B::Queue<'_>) -> Result<(), Error> + Sync,
) -> Result<Times, Error> {
    let sets = sets.max(1);
    let round = backend.record(|q: &mut B::Queue<'_>| (0..sets).try_for_each(|set| call(set, q)))?;
    let mut seconds = f64::NAN;
    clock.borrow_mut()(&mut |calls| {
        let times = backend.time(&round, calls.div_ceil(sets).max(1))?;
        seconds = times.iter().sum::<f64>() / (times.len().max(1) * sets) as f64;
        Ok(seconds)
    })?;
    let us = seconds * 1e6;
    Ok(Times { median: us, p20: us, p80: us, burst: us })
}

#[cfg(test)]
mod tests {
    use super::super::Select;
    use super::*;
    use crate::cpu::Cpu;

    fn tiny() -> Options {
        let (presets, ops) = (vec!["tiny".into()], vec!["moe_dispatch".into(), "moe_mlp2".into()]);
        Options { select: Select { presets, ops, tokens: vec![1, 3], ..Select::default() }, ..Options::default() }
    }

    #[test]
    fn every_row_is_handed_over_with_its_calls() {
        let mut rows = Vec::new();
        let skipped = timed_elsewhere(&Cpu::new(), &tiny(), |op, case, tokens, calls| {
            rows.push((op.to_string(), case.to_string(), tokens));
            let seconds = calls(5)?;
            assert!(seconds > 0.0 && seconds < 60.0, "{seconds}");
            Ok(())
        });
        assert_eq!(skipped.unwrap(), []);
        let row = |op: &str, case: &str, tokens| (op.to_string(), case.to_string(), tokens);
        let (mlp2, dispatch) = (("moe_mlp2", "tiny"), ("moe_dispatch", "E8 k4"));
        assert_eq!(rows, [(mlp2, 1), (mlp2, 3), (dispatch, 1), (dispatch, 3)].map(|((o, c), t)| row(o, c, t)));
    }

    #[test]
    fn an_error_ends_it() {
        let mut rows = 0;
        let failed = timed_elsewhere(&Cpu::new(), &tiny(), |_, _, _, _| {
            rows += 1;
            Err(Error::input("a clock", "stopped"))
        });
        assert!(failed.unwrap_err().to_string().contains("stopped"));
        assert_eq!(rows, 1);
    }
}
