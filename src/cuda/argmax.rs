//! The largest element of each row: blocks take parts of rows, then a block a row takes the best of its parts.

use super::params::Rows;
use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::DeviceInfo;
use crate::error::Error;
use crate::op::{ArgmaxArgs, ArgmaxSpec};
use bytemuck::{Pod, Zeroable};
use dropless_kernels_cuda::Artifact;

/// Mirrors `ArgmaxParams` in argmax/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    x: Rows,
    ids: u64,
    partial: u64,
    rows: i64,
    columns: i64,
    parts: i64,
}

const _: () = assert!(size_of::<Params>() == 64);

impl ArgmaxSpec {
    /// Parts of a row: enough blocks to occupy the device, each of at least one pass of its threads.
    fn parts(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        let pass = 32 * artifact.warps as usize * 8;
        (2 * device.units as usize).div_ceil(self.rows.max(1)).clamp(1, self.columns.div_ceil(pass).max(1))
    }
}

impl CudaOp for ArgmaxSpec {
    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        self.rows.saturating_mul(self.parts(artifact, device)).saturating_mul(8)
    }

    fn launch(plan: &Plan<Self>, args: ArgmaxArgs<'_, Cuda>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let parts = op.parts(plan.artifact, plan.info());
        let params = Params {
            x: Rows::input(&args.x),
            ids: *args.ids.mem(),
            partial: scratch,
            rows: op.rows as i64,
            columns: op.columns as i64,
            parts: parts as i64,
        };
        plan.record(0, [op.rows * parts, 1, 1], stream, &params)?;
        plan.record(1, [op.rows, 1, 1], stream, &params)
    }
}
