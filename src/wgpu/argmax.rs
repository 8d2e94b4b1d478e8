//! The largest element of each row: a workgroup a row.

use super::device::Capabilities;
use super::launch::Launch;
use super::plan::{Launches, WgpuOp};
use crate::op::ArgmaxSpec;
use dropless_kernels_wgsl::Artifact;

impl WgpuOp for ArgmaxSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([Launch::new("argmax", self.rows)
            .reads("x", self.x)
            .ints(["ids"])
            .sizes([("columns", self.columns)])])
    }
}
