//! What all ops of this backend have in common.

use super::choose::{choose_here, code};
use super::driver::{Device, Function, Launch};
use super::rtc;
use super::{Hip, Stream};
use crate::backend::params::{SCRATCH_ALIGN, check_scratch};
use crate::backend::{Backend, DeviceInfo, Hint, Provide, Scratch};
use crate::error::Error;
use crate::op::Op;
use crate::tensor::ViewMut;
use bytemuck::Pod;
use dropless_kernels_hip::Artifact;
use std::sync::Arc;

/// An op of this backend: which variants may run it, and how it is launched. One file each.
pub trait HipOp: Op {
    /// Limits of all variants alike, beyond the spec's own.
    ///
    /// # Errors
    /// Which limit, in words.
    fn limits(&self) -> Result<(), String> {
        Ok(())
    }

    /// May this variant run the spec at all?
    ///
    /// # Errors
    /// Which limit, in words.
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        let _ = artifact;
        Ok(())
    }

    /// Should it, where nobody forces it?
    ///
    /// # Errors
    /// What it is better for, in words.
    fn suits(&self, artifact: &Artifact) -> Result<(), String> {
        let _ = artifact;
        Ok(())
    }

    /// Position of the kernel of a variant that does the work, among its entries.
    fn kernel(&self, artifact: &Artifact) -> usize {
        let _ = artifact;
        0
    }

    /// Bytes of dynamic LDS of a variant's kernels.
    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        let _ = artifact;
        0
    }

    /// Bytes of scratch of one call.
    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        let _ = (artifact, device);
        0
    }

    /// Records the launches. Operands are checked.
    ///
    /// # Errors
    /// What the runtime says.
    fn launch(plan: &Plan<Self>, args: Self::Args<'_, Hip>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error>;
}

/// A chosen variant, loaded.
pub struct Plan<O> {
    pub(super) op: O,
    pub(super) artifact: &'static Artifact,
    functions: Vec<Function>,
    shared: u32,
    device: Arc<Device>,
}

/// Blocks of a launch in x, of so many threads each: the runtime counts the threads in 32 bits.
pub(super) fn most_blocks(artifact: &Artifact) -> usize {
    (u32::MAX / threads(artifact)) as usize
}

fn threads(artifact: &Artifact) -> u32 {
    32 * artifact.warps.max(1)
}

impl<O: Op> Plan<O> {
    pub(super) fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// Records kernel `index` of the variant over `grid` blocks; none where there is nothing to do.
    pub(super) fn record<P: Pod>(
        &self,
        index: usize,
        grid: [usize; 2],
        stream: &Stream<'_>,
        params: &P,
    ) -> Result<(), Error> {
        if grid.contains(&0) {
            return Ok(());
        }
        // Kernels stride over the grid in x, which may be cut, or their op keeps to `most_blocks`; y is small.
        let grid = [grid[0].min(most_blocks(self.artifact)) as u32, grid[1] as u32, 1];
        let Some(function) = self.functions.get(index) else {
            let reason = format!("variant {} has no kernel {index}", self.artifact.variant);
            return Err(Error::Unsupported { backend: Hip::NAME, op: O::NAME, reason });
        };
        let launch = Launch { grid, threads: threads(self.artifact), shared: self.shared };
        self.device.launch(*function, launch, stream, params)
    }
}

impl<O: HipOp> Provide<O> for Hip {
    type Plan = Plan<O>;

    fn plan(&self, op: &O, hint: Hint<'_>) -> Result<Plan<O>, Error> {
        let info = self.device.info();
        let artifact = choose_here(op, info, rtc::present, hint)?.artifact;
        let unsupported = |reason| Error::Unsupported { backend: Hip::NAME, op: O::NAME, reason };
        let code = code(artifact, info, rtc::present).map_err(unsupported)?;
        let entries = artifact.entries.iter();
        let functions = entries.map(|e| self.device.function(code, e)).collect::<Result<_, _>>()?;
        let shared = op.shared_bytes(artifact);
        Ok(Plan { op: *op, artifact, functions, shared, device: self.device.clone() })
    }

    fn variant(plan: &Plan<O>) -> &str {
        plan.artifact.variant
    }

    fn scratch(plan: &Plan<O>) -> Scratch {
        Scratch { bytes: plan.op.scratch_bytes(plan.artifact, plan.info()), align: SCRATCH_ALIGN }
    }

    fn enqueue(
        &self,
        plan: &Plan<O>,
        args: O::Args<'_, Self>,
        scratch: ViewMut<'_, Self>,
        queue: &mut Stream<'_>,
    ) -> Result<(), Error> {
        let _entered = plan.device.enter()?;
        check_scratch(O::NAME, *scratch.mem(), || <Self as Provide<O>>::scratch(plan))?;
        O::launch(plan, args, *scratch.mem(), queue)
    }
}
