//! Work recorded once and run again: what measures a device, and what a decode step is replayed from.

use super::Runtime;
use crate::error::Error;

/// Calls recorded once, to run any number of times on the operands they were recorded with.
pub trait Timing: Runtime {
    /// Recorded calls. cuda: an instantiated graph. They borrow the operands for `'a`.
    type Recorded<'a>;

    /// Records `calls`, which may run more than once. Plans are made before, not inside.
    ///
    /// # Errors
    /// What `calls` returns, or [`Error::Device`].
    fn record<'a>(
        &self,
        calls: impl Fn(&mut Self::Queue<'_>) -> Result<(), Error> + 'a,
    ) -> Result<Self::Recorded<'a>, Error>;

    /// Submits one run behind everything submitted earlier. Does not wait.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn replay(&self, recorded: &Self::Recorded<'_>) -> Result<(), Error>;

    /// Runs `replays` times back to back and waits: seconds of each, by the device's own clock where it has one.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn time(&self, recorded: &Self::Recorded<'_>, replays: usize) -> Result<Vec<f64>, Error>;

    /// Bytes of the last-level cache; inputs that are to come from memory must together exceed it.
    fn cache_bytes(&self) -> usize;
}
