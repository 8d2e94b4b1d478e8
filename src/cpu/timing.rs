//! Recorded calls are kept and made again, and timed by the wall clock: a call is over when it returns.

use super::Cpu;
use crate::backend::{Replay, Timing};
use crate::error::Error;
use std::time::{Duration, Instant};

/// Recorded calls.
pub type Calls<'a> = Box<dyn Fn(&mut ()) -> Result<(), Error> + Send + 'a>;

impl Replay for Cpu {
    type Recorded<'a> = Calls<'a>;

    fn record<'a>(&self, calls: impl Fn(&mut ()) -> Result<(), Error> + Send + 'a) -> Result<Calls<'a>, Error> {
        Ok(Box::new(calls))
    }

    fn replay(&self, calls: &Calls<'_>) -> Result<(), Error> {
        calls(&mut ())
    }
}

impl Timing for Cpu {
    const SETTLES: Duration = Duration::ZERO;

    fn time(&self, calls: &Calls<'_>, replays: usize) -> Result<Vec<f64>, Error> {
        let one = |_| {
            let started = Instant::now();
            calls(&mut ())?;
            Ok(started.elapsed().as_secs_f64())
        };
        (0..replays).map(one).collect()
    }

    /// That of a large server: nothing in the standard library tells.
    fn cache_bytes(&self) -> usize {
        32 << 20
    }
}
