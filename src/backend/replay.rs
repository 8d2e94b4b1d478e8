//! Work recorded once and run again: what a decode step is replayed from, and what a device is timed by.

use super::Runtime;
use crate::error::Error;

/// Calls recorded once, to run any number of times on the operands they were recorded with. Backends without graphs keep
/// the calls and make them again.
pub trait Replay: Runtime {
    /// Recorded calls, and with them everything that the calls own or borrow for `'a`. cuda: an instantiated graph.
    type Recorded<'a>: Send;

    /// Records `calls`, which may run more than once and must record the same launches each time. They own or borrow the
    /// operands: the addresses are in the recording. Plans are made before, not inside.
    ///
    /// # Errors
    /// What `calls` returns, or [`Error::Device`].
    fn record<'a>(
        &self,
        calls: impl Fn(&mut Self::Queue<'_>) -> Result<(), Error> + Send + 'a,
    ) -> Result<Self::Recorded<'a>, Error>;

    /// Submits one run behind everything submitted earlier. Does not wait.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn replay(&self, recorded: &Self::Recorded<'_>) -> Result<(), Error>;
}
