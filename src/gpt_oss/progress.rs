//! How far a long operation is.

/// `done` of `total`; bytes where files are written, layers where a model is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// So far.
    pub done: u64,
    /// In all.
    pub total: u64,
}
