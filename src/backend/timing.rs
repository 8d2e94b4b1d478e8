//! How long recorded work takes.

use super::Replay;
use crate::error::Error;
use std::time::Duration;

/// How long one launch of recorded work took.
#[derive(Clone, PartialEq, Debug)]
pub struct LaunchTime {
    /// Op that it belongs to.
    pub op: &'static str,
    /// Entry point of its kernel.
    pub kernel: &'static str,
    /// Workgroups.
    pub workgroups: usize,
    /// By the device's clock.
    pub seconds: f64,
}

/// Backends that measure themselves.
pub trait Timing: Replay {
    /// How long a device that was idle has to work before its clocks are those of work.
    const SETTLES: Duration = Duration::from_millis(400);

    /// Runs `replays` times back to back and waits: seconds of each, by the device's own clock where it has one.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn time(&self, recorded: &Self::Recorded<'_>, replays: usize) -> Result<Vec<f64>, Error>;

    /// Runs once and waits: how long each launch takes, in order, one after the other. Empty where no clock can be read between
    /// launches.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn launches(&self, recorded: &Self::Recorded<'_>) -> Result<Vec<LaunchTime>, Error> {
        let _ = recorded;
        Ok(Vec::new())
    }

    /// Bytes of the last-level cache; inputs that are to come from memory must together exceed it.
    fn cache_bytes(&self) -> usize;
}
