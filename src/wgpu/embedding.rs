//! Rows of a table by token id: a workgroup a token.

use super::device::Capabilities;
use super::launch::Launch;
use super::plan::{Launches, WgpuOp};
use crate::op::EmbeddingSpec;
use dropless_kernels_wgsl::Artifact;

impl WgpuOp for EmbeddingSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([Launch::new("embedding", self.tokens)
            .ints(["ids"])
            .reads("table", self.table)
            .writes("y", self.out)
            .status()
            .sizes([("dim", self.dim)])
            .counts([("vocab", self.vocab)])])
    }
}
