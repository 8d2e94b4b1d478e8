//! Root-mean-square norm: a workgroup a row.

use super::device::Capabilities;
use super::launch::Launch;
use super::plan::{Launches, WgpuOp};
use crate::op::RmsNormSpec;
use dropless_kernels_wgsl::Artifact;

impl WgpuOp for RmsNormSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        let residual = self.residual.then_some(self.x);
        Launches::of([Launch::new("rms_norm", self.rows)
            .reads("x", self.x)
            .reads_if("residual", residual)
            .reads("weight", self.weight)
            .writes_if("sum", residual)
            .writes("y", self.out)
            .consts([("RESIDUAL", self.residual.into())])
            .sizes([("dim", self.dim)])
            .reals([("eps", self.eps.0)])])
    }
}
