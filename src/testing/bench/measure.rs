//! Times of one call: sustained, and after a pause.

use super::stats::{median, quantile};
use crate::backend::Timing;
use crate::error::Error;
use std::time::{Duration, Instant};

/// A replay shorter than this is made of several rounds over the sets: the gap between two replays must not count.
const REPLAY_SECONDS: f64 = 2e-3;
/// What is timed at once while a device warms up.
const SLICE_SECONDS: f64 = 0.03;
/// Most calls in one recording.
const MAX_CALLS: usize = 4096;
/// Most replays of one measurement.
const MAX_REPLAYS: f64 = 20_000.0;
/// A device runs before it is measured as long as it becomes faster by more than this part, ...
const FASTER: f64 = 0.02;
/// ... and no longer than this.
const MOST_WARM: Duration = Duration::from_secs(2);
/// Pauses that are measured after, and how long they are.
const BURSTS: usize = 3;
pub(super) const PAUSE: Duration = Duration::from_millis(60);

/// Microseconds a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Times {
    pub(super) median: f64,
    pub(super) p20: f64,
    pub(super) p80: f64,
    /// After a pause, before a power limit can bind.
    pub(super) burst: f64,
}

/// How much of a row's times is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// Sustained times of a device that has settled, and those after pauses.
    Rested,
    /// Sustained times alone, of a device that is busy anyway; where a call's first replays take more than so many microseconds, those.
    Busy(f64),
}

/// Replays `call` over all sets, again and again, for at least `seconds`.
pub(super) fn measure<B: Timing>(
    backend: &B,
    sets: usize,
    seconds: f64,
    pace: Pace,
    call: impl Fn(usize, &mut B::Queue<'_>) -> Result<(), Error> + Sync,
) -> Result<Times, Error> {
    let (call, sets) = (&call, sets.max(1));
    let rounds_of = |rounds: usize| {
        backend.record(move |q: &mut B::Queue<'_>| (0..rounds * sets).try_for_each(|i| call(i % sets, q)))
    };
    let one = rounds_of(1)?;
    // The first run loads and warms; a slow one is not worth repeating.
    let first = median(&backend.time(&one, 1)?);
    let slow = first > seconds.max(2.0 * B::SETTLES.as_secs_f64());
    let estimate = if slow { first } else { median(&backend.time(&one, 3)?) };
    let us = |seconds: f64, calls: usize| seconds * 1e6 / calls as f64;
    let settles = match pace {
        Pace::Rested => B::SETTLES,
        Pace::Busy(enough) => {
            let rough = us(estimate, sets);
            if rough > enough {
                return Ok(Times { median: rough, p20: rough, p80: rough, burst: us(first, sets) });
            }
            Duration::ZERO
        }
    };
    let rounds = ((REPLAY_SECONDS / estimate).ceil() as usize).clamp(1, (MAX_CALLS / sets).max(1));
    let many = if rounds > 1 { Some(rounds_of(rounds)?) } else { None };
    let recorded = many.as_ref().unwrap_or(&one);
    let each = estimate * rounds as f64;
    let each = if slow { each } else { warmed(backend, recorded, each, settles)? };
    let replays = (seconds / each).ceil().clamp(1.0, MAX_REPLAYS) as usize;
    let times = backend.time(recorded, replays)?;
    let burst = if slow || pace != Pace::Rested { first } else { after_pauses(backend, &one)? };
    let of_replays = |part| us(quantile(&times, part), rounds * sets);
    Ok(Times { median: of_replays(0.5), p20: of_replays(0.2), p80: of_replays(0.8), burst: us(burst, sets) })
}

/// Replays, of some `each` seconds, for as long as the device needs, and until it is no faster than before: seconds of one then.
fn warmed<B: Timing>(backend: &B, recorded: &B::Recorded<'_>, each: f64, settles: Duration) -> Result<f64, Error> {
    let replays = (SLICE_SECONDS / each).ceil().clamp(1.0, MAX_REPLAYS) as usize;
    let (begin, mut before) = (Instant::now(), f64::INFINITY);
    loop {
        let now = median(&backend.time(recorded, replays)?);
        let settled = now >= before * (1.0 - FASTER);
        if (settled && begin.elapsed() >= settles) || begin.elapsed() >= MOST_WARM {
            return Ok(now);
        }
        before = now;
    }
}

fn after_pauses<B: Timing>(backend: &B, recorded: &B::Recorded<'_>) -> Result<f64, Error> {
    let mut times = Vec::new();
    for _ in 0..BURSTS {
        std::thread::sleep(PAUSE);
        times.extend(backend.time(recorded, 1)?);
    }
    Ok(median(&times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_set_runs_equally_often_and_times_are_per_call() {
        let counts = [0; 3].map(AtomicUsize::new);
        let times = measure(&Cpu::new(), 3, 0.02, Pace::Rested, |set, ()| {
            counts[set].fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(200));
            Ok(())
        })
        .unwrap();
        let counts = counts.map(AtomicUsize::into_inner);
        assert!(counts[0] > 3 && counts.iter().all(|c| *c == counts[0]), "{counts:?}");
        assert!(times.p20 >= 200.0 && times.p20 <= times.median && times.median <= times.p80, "{times:?}");
        assert!(times.burst >= 200.0, "{times:?}");
    }

    #[test]
    fn an_error_of_a_call_is_the_result() {
        let failed = measure(&Cpu::new(), 1, 0.01, Pace::Rested, |_, ()| Err(Error::input("a call", "refused")));
        assert!(failed.unwrap_err().to_string().contains("refused"));
    }
}
