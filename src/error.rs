//! What can go wrong, in words a user can act on.

use std::fmt;
use std::path::PathBuf;

/// An operand or a parameter that does not fit the op: which one, what was wanted, what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// Name of the op, as in [`Op::NAME`](crate::op::Op::NAME).
    pub op: &'static str,
    /// Name of the operand or parameter.
    pub operand: &'static str,
    /// What was wanted.
    pub want: String,
    /// What came.
    pub got: String,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` must be {}, got {}", self.op, self.operand, self.want, self.got)
    }
}

impl std::error::Error for SpecError {}

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Operands or parameters that do not fit the op.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The op is legal, but this backend or device does not run it.
    #[error("{backend} does not run this {op}: {reason}")]
    Unsupported {
        /// Backend name.
        backend: &'static str,
        /// Op name.
        op: &'static str,
        /// Why, in words; one line a rejected variant where there are several.
        reason: String,
    },
    /// The backend is not usable here: driver, library or device missing.
    #[error("{backend} is not available: {reason}")]
    Unavailable {
        /// Backend name.
        backend: &'static str,
        /// Why, in words.
        reason: String,
    },
    /// The driver or the device reported an error.
    #[error("{backend}: {source}")]
    Device {
        /// Backend name.
        backend: &'static str,
        /// The driver's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file that cannot be read, or does not hold what it should.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A value given by the caller that cannot be used (token ids, sampling parameters, sizes).
    #[error("{what}: {problem}")]
    Input {
        /// What was given.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// A [`Error::File`] from anything that prints.
    pub fn file(path: impl Into<PathBuf>, problem: impl fmt::Display) -> Self {
        Error::File { path: path.into(), problem: problem.to_string() }
    }

    /// A [`Error::Input`] from anything that prints.
    pub fn input(what: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Error::Input { what: what.to_string(), problem: problem.to_string() }
    }
}
