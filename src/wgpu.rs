//! Vulkan, Metal and DX12 through wgpu.
//!
//! An engine hands over what it has: [`Wgpu::from_engine`] takes clones of its `Device` and `Queue`, views are made of its `Buffer`s
//! ([`Mem`]), dispatches go into its `CommandEncoder`. Programs without an engine take [`Wgpu::new`] and the
//! [`Runtime`](crate::Runtime).
//!
//! A buffer that a view lies in has usage `STORAGE` and reaches to the end of the last word of four bytes that the view touches.
//! A view begins at a multiple of its element's size. Where two views share a word, no call may write one half of it while another
//! call on the device reads or writes the other; within a call, kernels see to it.

mod access;
mod argmax;
mod bind;
pub mod choose;
#[cfg(feature = "testing")]
pub mod dawn;
mod device;
mod dispatches;
mod embedding;
#[cfg(feature = "testing")]
mod emulate;
mod flash_attn;
mod grouped_gemm;
mod kv_append;
mod launch;
mod memory;
mod moe;
mod mxfp4_prepack;
mod open;
mod plan;
mod probe;
mod replay;
mod rms_norm;
mod rope;
mod source;
mod spirv;
mod swiglu;

pub use device::Capabilities;
pub use memory::{Mem, WgpuBuffer};
pub use open::{devices, kernels, variants};
pub use plan::Plan;
pub use probe::Fault;
pub use replay::Recorded;
/// The version of wgpu whose types this backend takes.
pub use wgpu;

use crate::backend::{Backend, DeviceInfo};
use device::Shared;

/// The wgpu backend: one device. Clones share it.
#[derive(Clone)]
pub struct Wgpu {
    device: Shared,
}

impl Wgpu {
    /// Features and limits of the device.
    pub fn capabilities(&self) -> &Capabilities {
        &self.device.capabilities
    }
}

impl Backend for Wgpu {
    const NAME: &'static str = "wgpu";
    type Mem = Mem;
    type Queue<'q> = wgpu::CommandEncoder;

    fn device(&self) -> &DeviceInfo {
        &self.device.info
    }

    fn offset(mem: &Mem, bytes: usize) -> Mem {
        Mem { buffer: mem.buffer.clone(), offset: mem.offset + bytes as u64 }
    }
}
