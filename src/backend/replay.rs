//! Work recorded once and run again: what a decode step is replayed from, and what a device is timed by.

use super::Runtime;
use crate::error::Error;

/// Bytes on their way to the host; a call waits for them.
pub type Fetch = Box<dyn FnOnce() -> Result<Vec<u8>, Error> + Send>;

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

    /// Is a replay better submitted before results of the one in front of it have come? Where it is, [`Runtime::write`] takes its
    /// turn among what is submitted, and [`Replay::fetch`] does not wait.
    const AHEAD: bool = false;

    /// Bytes of a buffer as everything submitted so far leaves them, whatever is submitted later.
    ///
    /// # Errors
    /// As [`Runtime::read`], here or where they are waited for.
    fn fetch(&self, buffer: &Self::Buffer, offset: usize, bytes: usize) -> Result<Fetch, Error> {
        let mut read = vec![0; bytes];
        self.read(buffer, offset, &mut read)?;
        Ok(Box::new(|| Ok(read)))
    }
}
