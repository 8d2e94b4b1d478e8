//! The largest element of each row: blocks take parts of rows, then a block a row takes the best of its parts.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::DeviceInfo;
use crate::backend::params::argmax::{Params, parts};
use crate::error::Error;
use crate::op::{ArgmaxArgs, ArgmaxSpec};
use dropless_kernels_cuda::Artifact;

impl CudaOp for ArgmaxSpec {
    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        self.rows.saturating_mul(parts(self, artifact.warps, device)).saturating_mul(8)
    }

    fn launch(plan: &Plan<Self>, args: ArgmaxArgs<'_, Cuda>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let parts = parts(op, plan.artifact.warps, plan.info());
        let params = Params::new(op, &args, parts, scratch);
        plan.record(0, [op.rows * parts, 1, 1], stream, &params)?;
        plan.record(1, [op.rows, 1, 1], stream, &params)
    }
}
