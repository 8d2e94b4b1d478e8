//! AMD through libamdhip64, loaded at run time: this crate builds and runs without it.
//!
//! An engine names its device by number ([`Hip::new`]), views are made of the addresses that it has, launches go into its
//! `hipStream_t` ([`Stream::from_raw`]). Programs without an engine take the [`Runtime`](crate::Runtime).
//!
//! A target that no object is shipped for is compiled for when a plan is made, where hipRTC is installed.
//!
//! No AMD GPU has run these kernels yet. Their compiled code is tested instruction by instruction by an interpreter
//! (`tools/verify-hip.sh`), which shows what they compute and nothing of their speed.

mod api;
mod argmax;
pub mod choose;
mod discover;
mod driver;
mod embedding;
mod estimate;
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
mod rtc;
mod swiglu;

pub use discover::{devices, kernels, variants};
pub use estimate::Estimated;
pub use graph::Graph;
pub use memory::HipBuffer;
pub use plan::Plan;

use crate::backend::{Backend, DeviceInfo};
use crate::error::Error;
use driver::Device;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

/// The HIP backend: one device. Clones share it.
#[derive(Clone)]
pub struct Hip {
    device: Arc<Device>,
}

impl Hip {
    /// The device of this number.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no runtime library, no such device, or one whose target is not known.
    pub fn new(ordinal: usize) -> Result<Self, Error> {
        Ok(Hip { device: Arc::new(Device::open(ordinal)?) })
    }
}

/// A `hipStream_t`: what launches are recorded into.
pub struct Stream<'q> {
    raw: *mut c_void,
    owner: PhantomData<&'q mut ()>,
}

impl Stream<'_> {
    /// An engine's stream; it may be capturing. Null is the default stream.
    ///
    /// # Safety
    /// `stream` belongs to the device of the [`Hip`] that launches into it and lives as long as this value.
    pub unsafe fn from_raw(stream: *mut c_void) -> Self {
        Stream { raw: stream, owner: PhantomData }
    }
}

impl Backend for Hip {
    const NAME: &'static str = "hip";
    /// A device address.
    type Mem = u64;
    type Queue<'q> = Stream<'q>;

    fn device(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn offset(mem: &u64, bytes: usize) -> u64 {
        mem.wrapping_add(bytes as u64)
    }
}
