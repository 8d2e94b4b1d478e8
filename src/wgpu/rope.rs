//! Rotary position embedding: a workgroup a token.

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::dtype::DType;
use crate::op::{Pairing, RopeSpec};
use dropless_kernels_wgsl::Artifact;

impl Launch {
    /// What include/rotate.wgsl reads: `x` under whatever name the op has for it, and the table.
    pub(super) fn rotation(
        self,
        x: &'static str,
        dtype: DType,
        positions: usize,
        dim: usize,
        pairing: Pairing,
    ) -> Self {
        self.operand("x", Kind::Reads(dtype), x)
            .reads("cos", DType::F32)
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
            .rotation("x", self.x, self.positions, self.head_dim, self.pairing)
            .writes("y", self.out)
            .sizes([("heads", self.heads)])])
    }
}
