//! What all ops of this backend have in common.

use super::driver::{Device, Function, Launch};
use super::{Cuda, Stream};
use crate::backend::choose::choose;
use crate::backend::params::{SCRATCH_ALIGN, check_scratch};
use crate::backend::{Backend, Class, DeviceInfo, Hint, Provide, Scratch};
use crate::error::Error;
use crate::op::Op;
use crate::tensor::ViewMut;
use bytemuck::Pod;
use dropless_kernels_cuda::Artifact;
use std::sync::Arc;

/// An op of this backend: which variants may run it, and how it is launched. One file each.
pub trait CudaOp: Op {
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
    fn suits(&self, artifact: &Artifact, device: &DeviceInfo, hint: Hint<'_>) -> Result<(), String> {
        let _ = (artifact, device, hint);
        Ok(())
    }

    /// What of the spec measured choices are found by.
    fn class(&self, hint: Hint<'_>) -> Option<Class> {
        let _ = hint;
        None
    }

    /// Bytes of dynamic shared memory of a variant's kernels.
    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        let _ = artifact;
        0
    }

    /// Blocks of a cluster of a variant's kernels.
    fn cluster(&self, artifact: &Artifact, device: &DeviceInfo) -> u32 {
        let _ = (artifact, device);
        1
    }

    /// Bytes of scratch of one call.
    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        let _ = (artifact, device);
        0
    }

    /// Records the launches. Operands are checked.
    ///
    /// # Errors
    /// What the driver says.
    fn launch(plan: &Plan<Self>, args: Self::Args<'_, Cuda>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error>;
}

/// A chosen variant, loaded.
pub struct Plan<O> {
    pub(super) op: O,
    pub(super) artifact: &'static Artifact,
    functions: Vec<Function>,
    shared: u32,
    device: Arc<Device>,
}

impl<O: Op> Plan<O> {
    pub(super) fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// What a launch says of a kernel that the variant does not have.
    pub(super) fn lacks(&self, kernel: &str) -> Error {
        let reason = format!("variant {} has no {kernel}", self.artifact.variant);
        Error::Unsupported { backend: Cuda::NAME, op: O::NAME, reason }
    }

    /// Records kernel `index` of the variant over `grid` blocks; none where there is nothing to do.
    pub(super) fn record<P: Pod>(
        &self,
        index: usize,
        grid: [usize; 3],
        stream: &Stream<'_>,
        params: &P,
    ) -> Result<(), Error> {
        self.record_with(index, grid, self.shared, stream, params)
    }

    /// The same with another amount of dynamic shared memory, for kernels of a variant that use less than the others.
    pub(super) fn record_with<P: Pod>(
        &self,
        index: usize,
        grid: [usize; 3],
        shared: u32,
        stream: &Stream<'_>,
        params: &P,
    ) -> Result<(), Error> {
        let shape = Shape { shared, overlap: self.artifact.pdl, ..Shape::default() };
        self.record_as(index, grid, &shape, stream, params)
    }

    /// The same with clusters, or as the caller says overlapping what runs before it.
    pub(super) fn record_as<P: Pod>(
        &self,
        index: usize,
        grid: [usize; 3],
        shape: &Shape,
        stream: &Stream<'_>,
        params: &P,
    ) -> Result<(), Error> {
        if grid.contains(&0) {
            return Ok(());
        }
        // Kernels stride over the grid in x, which may be cut; y and z are used only where they are small.
        let grid = [grid[0].min(i32::MAX as usize) as u32, grid[1] as u32, grid[2] as u32];
        let function = self.functions.get(index).ok_or_else(|| self.lacks(&format!("kernel {index}")))?;
        let Shape { shared, cluster, overlap } = *shape;
        let launch = Launch { grid, threads: 32 * self.artifact.warps, shared, cluster, overlap };
        self.device.launch(*function, launch, stream, params)
    }
}

/// Blocks of a cluster that need no permission.
const PORTABLE_CLUSTER: u32 = 8;

/// What a launch may have beyond a grid.
pub(super) struct Shape {
    /// Dynamic shared memory in bytes.
    pub(super) shared: u32,
    /// Blocks of a cluster, neighbours in x.
    pub(super) cluster: u32,
    /// The kernel waits itself for what ran before it.
    pub(super) overlap: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { shared: 0, cluster: 1, overlap: false }
    }
}

impl<O: CudaOp> Provide<O> for Cuda {
    type Plan = Plan<O>;

    fn plan(&self, op: &O, hint: Hint<'_>) -> Result<Plan<O>, Error> {
        let artifact = choose(&self.target(), op, hint)?.artifact;
        let entries = artifact.entries.iter();
        let functions: Vec<Function> = entries.map(|e| self.device.function(artifact, e)).collect::<Result<_, _>>()?;
        let shared = op.shared_bytes(artifact);
        if shared > 0 {
            functions.iter().try_for_each(|f| self.device.allow_shared(*f, shared))?;
        }
        if op.cluster(artifact, self.device.info()) > PORTABLE_CLUSTER {
            functions.iter().try_for_each(|f| self.device.allow_large_clusters(*f))?;
        }
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
        // For whatever a launch asks the driver for: descriptors of the copy engine are made in a context too.
        let _entered = plan.device.enter()?;
        check_scratch(O::NAME, *scratch.mem(), || <Self as Provide<O>>::scratch(plan))?;
        O::launch(plan, args, *scratch.mem(), queue)
    }
}
