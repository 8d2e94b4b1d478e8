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

use crate::backend::Backend;
use crate::devices::required;
use crate::error::Error;

/// The backend to test, or `None` where it is not here, which is printed.
///
/// # Errors
/// Why it is not here, where `DROPLESS_REQUIRE` names it.
pub fn present<B: Backend>(found: Result<B, Error>) -> Result<Option<B>, Error> {
    match found {
        Ok(backend) => Ok(Some(backend)),
        Err(e) if required(B::NAME) => Err(e),
        Err(e) => {
            println!("skipped: {e}");
            Ok(None)
        }
    }
}
