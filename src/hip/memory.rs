//! Device memory and submission, for programs without an engine.

use super::driver::Device;
use super::{Hip, Stream};
use crate::backend::Runtime;
use crate::error::Error;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

/// Device memory, freed on drop.
pub struct HipBuffer {
    address: u64,
    bytes: usize,
    device: Arc<Device>,
}

impl HipBuffer {
    fn range(&self, offset: usize, len: usize) -> Result<*mut c_void, Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.bytes => Ok((self.address + offset as u64) as *mut c_void),
            _ => Err(Error::input("buffer", format!("holds {} bytes, asked for {len} at {offset}", self.bytes))),
        }
    }
}

impl Drop for HipBuffer {
    fn drop(&mut self) {
        if let Ok(_entered) = self.device.enter() {
            // SAFETY: allocated in `alloc`; the runtime waits for work that uses it.
            let _ = unsafe { (self.device.api().call.free)(self.address as *mut c_void) };
        }
    }
}

impl Hip {
    /// Waits for the runtime's own stream.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let device = &self.device;
        // SAFETY: the stream lives as long as the device.
        device.said("hipStreamSynchronize", unsafe { (device.api().call.stream_synchronize)(device.stream()) })
    }
}

impl Runtime for Hip {
    type Buffer = HipBuffer;

    fn alloc(&self, bytes: usize) -> Result<HipBuffer, Error> {
        let (device, mut address) = (&self.device, std::ptr::null_mut());
        let _entered = device.enter()?;
        // The runtime gives no address for nothing.
        // SAFETY: writes one handle.
        let code = unsafe { (device.api().call.malloc)(&mut address, bytes.max(1)) };
        device.said(format_args!("allocating {bytes} bytes"), code)?;
        Ok(HipBuffer { address: address as u64, bytes, device: device.clone() })
    }

    fn mem(&self, buffer: &HipBuffer) -> u64 {
        buffer.address
    }

    /// In the order of the stream: work submitted earlier has finished with the buffer.
    fn write(&self, buffer: &mut HipBuffer, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let (device, to) = (&self.device, buffer.range(offset, bytes.len())?);
        let _entered = device.enter()?;
        let from = bytes.as_ptr().cast_mut().cast();
        // SAFETY: the range was checked, the source is only read; `finish` waits before `bytes` is given back.
        let code = unsafe { (device.api().call.copy_to_device)(to, from, bytes.len(), device.stream()) };
        device.said(format_args!("copying {} bytes to the device", bytes.len()), code)?;
        self.finish()
    }

    fn read(&self, buffer: &HipBuffer, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let (device, from) = (&self.device, buffer.range(offset, into.len())?);
        let _entered = device.enter()?;
        let to = into.as_mut_ptr().cast();
        // SAFETY: as in `write`.
        let code = unsafe { (device.api().call.copy_to_host)(to, from, into.len(), device.stream()) };
        device.said(format_args!("copying {} bytes from the device", into.len()), code)?;
        self.finish()
    }

    fn submit<R>(&self, record: impl FnOnce(&mut Stream<'_>) -> Result<R, Error>) -> Result<R, Error> {
        record(&mut Stream { raw: self.device.stream(), owner: PhantomData })
    }
}
