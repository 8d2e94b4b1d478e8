//! How long recorded work takes.

use super::Replay;
use crate::error::Error;

/// Backends that measure themselves.
pub trait Timing: Replay {
    /// Runs `replays` times back to back and waits: seconds of each, by the device's own clock where it has one.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn time(&self, recorded: &Self::Recorded<'_>, replays: usize) -> Result<Vec<f64>, Error>;

    /// Bytes of the last-level cache; inputs that are to come from memory must together exceed it.
    fn cache_bytes(&self) -> usize;
}
