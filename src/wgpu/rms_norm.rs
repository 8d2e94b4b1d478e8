//! Root-mean-square norm: a workgroup a row.

use super::device::Capabilities;
use super::launch::Launch;
use super::plan::{Launches, WgpuOp};
use crate::op::RmsNormSpec;
use dropless_kernels_wgsl::Artifact;

/// Fours of a row that an invocation holds, at most: more of them leave the registers.
const MOST_HELD: usize = 8;

impl RmsNormSpec {
    fn fours_each(&self, artifact: &Artifact) -> usize {
        self.dim.div_ceil(4 * artifact.size("THREADS") as usize)
    }
}

impl WgpuOp for RmsNormSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        let most = 4 * MOST_HELD * artifact.size("THREADS") as usize;
        if artifact.variant != "portable" && self.dim > most {
            return Err(format!("holds rows of up to {most} elements, these have {}", self.dim));
        }
        Ok(())
    }

    fn launches(&self, artifact: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        let residual = self.residual.then_some(self.x);
        let launch = Launch::new("rms_norm", self.rows)
            .reads("x", self.x)
            .reads_if("residual", residual)
            .reads("weight", self.weight)
            .writes_if("sum", residual)
            .writes("y", self.out)
            .consts([("RESIDUAL", self.residual.into())])
            .sizes([("dim", self.dim)])
            .reals([("eps", self.eps.0)])
            .in_words(self.dim.is_multiple_of(4));
        Launches::of([match artifact.variant {
            "portable" => launch,
            _ => launch.consts([("EACH", self.fours_each(artifact) as u32)]),
        }])
    }
}
