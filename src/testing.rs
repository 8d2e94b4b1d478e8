//! What tests of a backend need: a harness that runs any op on any backend, conformance cases, golden vectors, reports.
//!
//! - [`mod@bench`]: times of the ops that matter, against the roof of the device;
//! - [`conform`]: every op against the f64 oracle, within derived bounds;
//! - [`harness`]: one op from named host tensors, in guarded and poisoned memory;
//! - [`vectors`]: golden vectors in the format `dropless-vectors/1` (docs/vectors.md);
//! - [`report`]: what ran, what failed, what was skipped and why.

pub mod bench;
pub mod conform;
pub mod harness;
pub mod random;
pub mod report;
pub mod vectors;

pub use report::{Filter, Report, Row, Status};
