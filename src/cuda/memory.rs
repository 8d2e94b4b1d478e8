//! Device memory and submission, for programs without an engine.

use super::driver::{Device, said};
use super::{Cuda, Stream};
use crate::backend::Runtime;
use crate::error::Error;
use cudarc::driver::{result, sys};
use std::marker::PhantomData;
use std::sync::Arc;

/// Device memory, freed on drop.
pub struct CudaBuffer {
    address: u64,
    bytes: usize,
    device: Arc<Device>,
}

impl CudaBuffer {
    fn range(&self, offset: usize, len: usize) -> Result<u64, Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.bytes => Ok(self.address + offset as u64),
            _ => Err(Error::input("buffer", format!("holds {} bytes, asked for {len} at {offset}", self.bytes))),
        }
    }
}

impl Drop for CudaBuffer {
    fn drop(&mut self) {
        if let Ok(_entered) = self.device.enter() {
            // SAFETY: allocated in `alloc`; the driver waits for work that uses it.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

impl Cuda {
    /// Waits for the runtime's own stream.
    pub(super) fn finish(&self) -> Result<(), Error> {
        // SAFETY: the stream lives as long as the device.
        unsafe { result::stream::synchronize(self.device.stream()) }.map_err(said("cuStreamSynchronize"))
    }
}

impl Runtime for Cuda {
    type Buffer = CudaBuffer;
    const PREPACKS: bool = true;

    fn alloc(&self, bytes: usize) -> Result<CudaBuffer, Error> {
        let _entered = self.device.enter()?;
        // The driver refuses to allocate nothing.
        // SAFETY: the context is current.
        let address =
            unsafe { result::malloc_sync(bytes.max(1)) }.map_err(said(format_args!("allocating {bytes} bytes")))?;
        Ok(CudaBuffer { address, bytes, device: self.device.clone() })
    }

    fn mem(&self, buffer: &CudaBuffer) -> u64 {
        buffer.address
    }

    /// In the order of the stream: work submitted earlier has finished with the buffer.
    fn write(&self, buffer: &mut CudaBuffer, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let (to, _entered) = (buffer.range(offset, bytes.len())?, self.device.enter()?);
        // SAFETY: the range was checked; `finish` waits before `bytes` is given back.
        unsafe { sys::cuMemcpyHtoDAsync_v2(to, bytes.as_ptr().cast(), bytes.len(), self.device.stream()) }
            .result()
            .map_err(said(format_args!("copying {} bytes to the device", bytes.len())))?;
        self.finish()
    }

    fn read(&self, buffer: &CudaBuffer, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let (from, _entered) = (buffer.range(offset, into.len())?, self.device.enter()?);
        // SAFETY: as in `write`.
        unsafe { sys::cuMemcpyDtoHAsync_v2(into.as_mut_ptr().cast(), from, into.len(), self.device.stream()) }
            .result()
            .map_err(said(format_args!("copying {} bytes from the device", into.len())))?;
        self.finish()
    }

    fn submit<R>(&self, record: impl FnOnce(&mut Stream<'_>) -> Result<R, Error>) -> Result<R, Error> {
        record(&mut Stream { raw: self.device.stream().cast(), owner: PhantomData })
    }
}
