//! NVIDIA through the driver library, loaded at run time: this crate builds and runs without it.
//!
//! An engine hands over what it has: [`Cuda::from_raw`] borrows its context, views are made of its `CUdeviceptr`s, launches
//! go into its `CUstream` ([`Stream::from_raw`]). All are plain integers and pointers, so it does not matter which binding
//! the engine uses. Programs without an engine take [`Cuda::new`] and the [`Runtime`](crate::Runtime).

mod argmax;
mod capability;
pub mod choose;
mod discover;
mod driver;
mod embedding;
mod flash_attn;
mod graph;
mod grouped_gemm;
mod kv_append;
mod memory;
mod moe;
mod mxfp4_prepack;
mod plan;
mod rms_norm;
mod rope;
mod swiglu;
mod tensor_map;
mod tiles;
mod tuned;

pub use capability::{CAPABILITIES, Capability};
pub use discover::{devices, kernels, variants};
pub use graph::Graph;
pub use memory::CudaBuffer;
pub use plan::Plan;

use crate::backend::{Backend, DeviceInfo};
use crate::error::Error;
use driver::Device;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

/// The CUDA backend: one context of one device. Clones share it.
#[derive(Clone)]
pub struct Cuda {
    device: Arc<Device>,
    tuned: tuned::Source,
}

impl From<Device> for Cuda {
    fn from(device: Device) -> Self {
        Cuda { device: Arc::new(device), tuned: tuned::Source::default() }
    }
}

impl Cuda {
    /// The device of this number, with the context that the CUDA runtime uses too (the primary one).
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no driver, one older than CUDA 12.0, or no such device.
    pub fn new(ordinal: usize) -> Result<Self, Error> {
        Ok(Device::primary(ordinal, None)?.into())
    }

    /// The same, used as a device of an earlier compute capability: every op runs the variant that it would run there. For tests
    /// and comparisons.
    ///
    /// # Errors
    /// As [`Cuda::new`] and [`Capability::limit`].
    pub fn new_as(ordinal: usize, capability: Capability) -> Result<Self, Error> {
        Ok(Device::primary(ordinal, Some(capability))?.into())
    }

    /// A `CUcontext` of the engine's, on the device of this number. It is borrowed, never destroyed.
    ///
    /// # Errors
    /// As [`Cuda::new`].
    ///
    /// # Safety
    /// `context` is a live context of that device and outlives this value, its clones, plans and buffers.
    pub unsafe fn from_raw(context: *mut c_void, ordinal: usize) -> Result<Self, Error> {
        // SAFETY: the caller's promise.
        Ok(unsafe { Device::borrowed(context, ordinal) }?.into())
    }
}

/// A `CUstream`: what launches are recorded into.
pub struct Stream<'q> {
    raw: *mut c_void,
    owner: PhantomData<&'q mut ()>,
}

impl Stream<'_> {
    /// An engine's stream; it may be capturing. Null is the legacy default stream.
    ///
    /// # Safety
    /// `stream` belongs to the context of the [`Cuda`] that launches into it and lives as long as this value.
    pub unsafe fn from_raw(stream: *mut c_void) -> Self {
        Stream { raw: stream, owner: PhantomData }
    }
}

impl Backend for Cuda {
    const NAME: &'static str = "cuda";
    /// A `CUdeviceptr`.
    type Mem = u64;
    type Queue<'q> = Stream<'q>;

    fn device(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn offset(mem: &u64, bytes: usize) -> u64 {
        mem.wrapping_add(bytes as u64)
    }
}
