//! What a machine offers: handles, queues, ops; and, for programs without an engine, memory.

#[cfg(any(feature = "cuda", feature = "hip", feature = "wgpu"))]
pub(crate) mod choose;
mod explain;
mod memory;
#[cfg(any(feature = "cuda", feature = "hip"))]
pub(crate) mod params;
mod replay;
mod timing;
mod tuned;

#[cfg(any(feature = "cuda", feature = "hip", feature = "wgpu"))]
pub use choose::Choice;
pub use explain::{Explain, Explanation, Rejected};
pub use memory::{Constant, Tensor};
pub use replay::{Fetch, Replay};
pub use timing::{LaunchTime, Timing};
pub use tuned::{Class, Tuned, TunedRow};

use crate::error::Error;
pub use crate::host::HostBytes;
use crate::op::Op;
use crate::tensor::ViewMut;
use std::fmt::Debug;

/// A kind of machine. Implemented once per folder: cpu, cuda, hip, wgpu.
pub trait Backend: Sized + Send + Sync + 'static {
    /// Short name: `cpu`, `cuda`, `hip`, `wgpu`.
    const NAME: &'static str;
    /// A non-owning handle. cuda, hip: address; wgpu: buffer and offset; cpu: pointer.
    type Mem: Clone + Debug + Send + Sync;
    /// What launches are recorded into. cuda, hip: a raw stream; wgpu: a command encoder; cpu: nothing.
    type Queue<'q>;
    /// The device.
    fn device(&self) -> &DeviceInfo;
    /// The handle `bytes` further on.
    fn offset(mem: &Self::Mem, bytes: usize) -> Self::Mem;
}

/// What the chooser of variants may look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceInfo {
    /// As the driver names it.
    pub name: String,
    /// Instruction set.
    pub arch: Arch,
    /// Multiprocessors, compute units, or threads of the CPU pool.
    pub units: u32,
    /// Shared (workgroup) memory one block may use, bytes; 0 where there is none.
    pub shared_bytes: u32,
}

/// Instruction set of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// The reference.
    Cpu,
    /// NVIDIA compute capability, times ten (90 = 9.0).
    Sm(u16),
    /// AMD gfx number, hexadecimal (0x942 = gfx942).
    Gfx(u16),
    /// A WGSL device.
    Wgsl,
}

/// Bytes of working memory one call needs; the caller provides it and may share it between calls of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// Size in bytes, may be zero.
    pub bytes: usize,
    /// Alignment in bytes.
    pub align: usize,
}

/// What the caller knows beyond the spec.
#[derive(Clone, Copy, Default, Debug)]
pub struct Hint<'a> {
    /// Rows (or tokens) of a typical call, where that is less than the spec's upper bound.
    pub rows: Option<usize>,
    /// Force one variant by name (tests, benches, bug reports).
    pub variant: Option<&'a str>,
}

/// A backend offers an op by implementing this, in one file. Specs and operands arrive checked.
pub trait Provide<O: Op>: Backend {
    /// Whatever a call needs that does not change between calls.
    type Plan: Send + Sync;
    /// Chooses a variant; may load modules, compile pipelines, allocate. Never called while capturing a graph.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason, [`Error::Device`] from the driver.
    fn plan(&self, op: &O, hint: Hint<'_>) -> Result<Self::Plan, Error>;
    /// Name of the variant that the plan runs.
    fn variant(plan: &Self::Plan) -> &str;
    /// Working memory of one call.
    fn scratch(plan: &Self::Plan) -> Scratch;
    /// Records launches and nothing else: no device allocation, no synchronisation, no readback.
    ///
    /// # Errors
    /// [`Error::Spec`], [`Error::Input`] or [`Error::Unsupported`] where the variant does not take an operand's address or strides (nothing
    /// was recorded), [`Error::Device`] where the driver refuses a launch.
    fn enqueue(
        &self,
        plan: &Self::Plan,
        args: O::Args<'_, Self>,
        scratch: ViewMut<'_, Self>,
        queue: &mut Self::Queue<'_>,
    ) -> Result<(), Error>;
}

/// Memory and submission, for tests, the model and small programs. An engine brings its own and does not need this.
pub trait Runtime: Backend {
    /// Owned memory, freed on drop.
    type Buffer: Send + Sync;
    /// Are its grouped GEMMs faster with prepacked MXFP4 than with the published layout? A model's experts are then converted while
    /// they are loaded.
    const PREPACKS: bool = false;
    /// At least `bytes` bytes of unspecified content, aligned to 256.
    ///
    /// # Errors
    /// [`Error::Device`] where there is not that much.
    fn alloc(&self, bytes: usize) -> Result<Self::Buffer, Error>;
    /// Host bytes as device memory that is only ever read. A backend that shares the host's memory keeps them where they are.
    ///
    /// # Errors
    /// As [`Runtime::alloc`] and [`Runtime::write`].
    fn import(&self, bytes: &HostBytes) -> Result<Self::Buffer, Error> {
        let mut buffer = self.alloc(bytes.as_slice().len())?;
        self.write(&mut buffer, 0, bytes.as_slice())?;
        Ok(buffer)
    }
    /// Handle of the buffer's first byte.
    fn mem(&self, buffer: &Self::Buffer) -> Self::Mem;
    /// Copies host bytes in; has happened before anything submitted later runs.
    ///
    /// # Errors
    /// [`Error::Input`] where they do not fit, [`Error::Device`] from the driver.
    fn write(&self, buffer: &mut Self::Buffer, offset: usize, bytes: &[u8]) -> Result<(), Error>;
    /// Copies out what all submitted work left; waits for it.
    ///
    /// # Errors
    /// As [`Runtime::write`].
    fn read(&self, buffer: &Self::Buffer, offset: usize, into: &mut [u8]) -> Result<(), Error>;
    /// Records into a queue and submits it. Does not wait.
    ///
    /// # Errors
    /// What `record` returns, or [`Error::Device`].
    fn submit<R>(&self, record: impl FnOnce(&mut Self::Queue<'_>) -> Result<R, Error>) -> Result<R, Error>;
}
