//! Rotary position embedding: a workgroup a token.

use super::device::Capabilities;
use super::launch::Launch;
use super::plan::{Launches, WgpuOp};
use crate::dtype::DType;
use crate::op::{Pairing, RopeSpec};
use dropless_kernels_wgsl::Artifact;

impl Launch {
    /// What include/rotate.wgsl reads beside `x`: the table's rows, elements of a head, which of them form a pair.
    pub(super) fn rotation(self, (positions, dim, pairing): (usize, usize, Pairing)) -> Self {
        self.reads("cos", DType::F32)
            .reads("sin", DType::F32)
            .ints(["positions"])
            .status()
            .consts([("INTERLEAVED", (pairing == Pairing::Interleaved).into())])
            .sizes([("half", dim / 2)])
            .counts([("positions", positions)])
    }
}

impl WgpuOp for RopeSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([Launch::new("rope", self.tokens)
            .reads("x", self.x)
            .rotation((self.positions, self.head_dim, self.pairing))
            .writes("y", self.out)
            .sizes([("heads", self.heads)])])
    }
}
