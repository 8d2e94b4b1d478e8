//! Which variant a backend would run, and why none of the others: answered on any machine.

use super::{Backend, Class, DeviceInfo, Hint};
use crate::error::Error;
use crate::op::Op;

/// A variant that does not run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Name of the variant.
    pub variant: &'static str,
    /// Which limit, or what is better, in words.
    pub reason: String,
}

/// What became of every variant of an op.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The variant that would run; `None` where none may.
    pub chosen: Option<&'static str>,
    /// All others, in the order they are tried.
    pub rejected: Vec<Rejected>,
    /// Scratch of one call of the chosen variant, bytes.
    pub scratch_bytes: usize,
    /// What measured choices are found by, where there could be some.
    pub class: Option<Class>,
}

/// A backend that says how it would choose.
pub trait Explain<O: Op>: Backend {
    /// On a device that need not be here, with the newest driver.
    ///
    /// # Errors
    /// [`Error::Spec`] where the spec makes no sense, [`Error::Unsupported`] where no variant could ever run it.
    fn explain(op: &O, device: &DeviceInfo, hint: Hint<'_>) -> Result<Explanation, Error>;

    /// On this device, with its driver.
    ///
    /// # Errors
    /// As [`Explain::explain`].
    fn explain_here(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error> {
        Self::explain(op, self.device(), hint)
    }
}
