//! The gated unit: a workgroup a row.

use super::device::Capabilities;
use super::launch::Launch;
use super::plan::{Launches, WgpuOp};
use crate::op::{GateUp, Swiglu, SwigluSpec};
use dropless_kernels_wgsl::Artifact;

impl Launch {
    /// What include/swiglu.wgsl reads.
    pub(super) fn unit(self, unit: &Swiglu) -> Self {
        let limit = unit.limit.map_or(f64::INFINITY, |l| l.0);
        self.consts([("HALVES", (unit.layout == GateUp::Halves).into())]).reals([
            ("alpha", unit.alpha.0),
            ("limit", limit),
            ("up_offset", unit.up_offset.0),
        ])
    }
}

impl WgpuOp for SwigluSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([Launch::new("swiglu_rows", self.rows)
            .reads("gate_up", self.x)
            .writes("y", self.out)
            .unit(&self.swiglu)
            .sizes([("inner", self.width / 2)])])
    }
}
