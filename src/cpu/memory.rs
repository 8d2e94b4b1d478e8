//! Host memory as the CPU backend's device memory.

use super::Cpu;
use crate::backend::{HostBytes, Runtime};
use crate::dtype::DType;
use crate::error::Error;
use crate::tensor::{View, ViewMut};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Address of host memory.
#[derive(Clone, Copy, Debug)]
pub struct CpuMem(*mut u8);

// SAFETY: an address alone; whoever makes a view of it promises that the memory may be used as the view says.
unsafe impl Send for CpuMem {}
// SAFETY: as above.
unsafe impl Sync for CpuMem {}

impl CpuMem {
    pub(super) fn new(address: *mut u8) -> Self {
        CpuMem(address)
    }

    /// The address.
    pub fn as_ptr(self) -> *mut u8 {
        self.0
    }

    pub(super) fn offset(self, bytes: usize) -> CpuMem {
        CpuMem(self.0.wrapping_add(bytes))
    }
}

impl Cpu {
    /// A contiguous window on a slice; `None` where it has fewer bytes than `shape` needs.
    pub fn view<'a, T: bytemuck::Pod>(data: &'a [T], dtype: DType, shape: &[usize]) -> Option<View<'a, Cpu>> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        fits(bytes.len(), dtype, shape)?;
        // SAFETY: the slice holds that many bytes and is borrowed for 'a; the CPU backend reads at any alignment.
        Some(unsafe { View::from_raw(CpuMem(bytes.as_ptr().cast_mut()), dtype, shape) })
    }

    /// A contiguous window to write on a slice; `None` where it has fewer bytes than `shape` needs.
    pub fn view_mut<'a, T: bytemuck::Pod>(
        data: &'a mut [T],
        dtype: DType,
        shape: &[usize],
    ) -> Option<ViewMut<'a, Cpu>> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(data);
        fits(bytes.len(), dtype, shape)?;
        // SAFETY: as in `view`, borrowed exclusively for 'a.
        Some(unsafe { ViewMut::from_raw(CpuMem(bytes.as_mut_ptr()), dtype, shape) })
    }
}

fn fits(have: usize, dtype: DType, shape: &[usize]) -> Option<()> {
    let need = shape.iter().try_fold(dtype.bytes(), |n, d| n.checked_mul(*d))?;
    (have >= need).then_some(())
}

/// Memory of the CPU backend: its own, or somebody's bytes shared without a copy.
pub enum CpuBuffer {
    /// Own memory, to read and write.
    Owned(OwnedBytes),
    /// Shared bytes, only to read: a memory-mapped checkpoint.
    Shared(HostBytes),
}

/// Zeroed bytes, aligned to 256, that views may write behind a shared reference.
///
/// They come zeroed from the system, which gives a page when it is first touched: a KV cache for a long context costs what
/// is written to it. Allocators do that for small alignments only, so the first aligned byte is looked for here.
pub struct OwnedBytes {
    base: NonNull<u8>,
    layout: Layout,
}

/// What [`Runtime::alloc`] promises.
const ALIGN: usize = 256;

// SAFETY: plain memory; the views made of it carry the aliasing rules.
unsafe impl Send for OwnedBytes {}
// SAFETY: as above.
unsafe impl Sync for OwnedBytes {}

impl OwnedBytes {
    fn new(bytes: usize) -> Result<Self, Error> {
        let none = || Error::Device { backend: "cpu", source: format!("no memory for {bytes} bytes").into() };
        let size = bytes.checked_add(ALIGN).ok_or_else(none)?;
        let layout = Layout::from_size_align(size, 1).map_err(|_| none())?;
        // SAFETY: of at least `ALIGN` bytes.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(none)?;
        Ok(OwnedBytes { base, layout })
    }

    /// The first aligned byte.
    fn start(&self) -> *mut u8 {
        let base = self.base.as_ptr();
        base.wrapping_add(base.addr().next_multiple_of(ALIGN) - base.addr())
    }

    /// Bytes from there on that were asked for.
    fn len(&self) -> usize {
        self.layout.size() - ALIGN
    }
}

impl Drop for OwnedBytes {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

impl CpuBuffer {
    fn bytes(&self) -> usize {
        match self {
            CpuBuffer::Owned(own) => own.len(),
            CpuBuffer::Shared(host) => host.as_slice().len(),
        }
    }

    fn range(&self, offset: usize, len: usize) -> Result<*mut u8, Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.bytes() => Ok(self.mem().offset(offset).0),
            _ => Err(Error::input("buffer", format!("holds {} bytes, asked for {len} at {offset}", self.bytes()))),
        }
    }

    fn mem(&self) -> CpuMem {
        match self {
            CpuBuffer::Owned(own) => CpuMem(own.start()),
            CpuBuffer::Shared(host) => CpuMem(host.as_slice().as_ptr().cast_mut()),
        }
    }
}

impl Runtime for Cpu {
    type Buffer = CpuBuffer;

    fn alloc(&self, bytes: usize) -> Result<CpuBuffer, Error> {
        Ok(CpuBuffer::Owned(OwnedBytes::new(bytes)?))
    }

    fn import(&self, bytes: &HostBytes) -> Result<CpuBuffer, Error> {
        Ok(CpuBuffer::Shared(bytes.clone()))
    }

    fn mem(&self, buffer: &CpuBuffer) -> CpuMem {
        buffer.mem()
    }

    fn write(&self, buffer: &mut CpuBuffer, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        if let CpuBuffer::Shared(_) = buffer {
            return Err(Error::input("buffer", "imported bytes are read-only"));
        }
        let to = buffer.range(offset, bytes.len())?;
        // SAFETY: the range was checked, `bytes` is another allocation, and the CPU backend has no work in flight: enqueue
        // runs to its end.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    fn read(&self, buffer: &CpuBuffer, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let from = buffer.range(offset, into.len())?;
        // SAFETY: as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    fn submit<R>(&self, record: impl FnOnce(&mut ()) -> Result<R, Error>) -> Result<R, Error> {
        record(&mut ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_zeroed_and_bounded() {
        let cpu = Cpu::new();
        for bytes in [0, 1, 255, 256, 1000] {
            let mut buffer = cpu.alloc(bytes).unwrap();
            assert_eq!(cpu.mem(&buffer).as_ptr().addr() % ALIGN, 0);
            let mut content = vec![1; bytes];
            cpu.read(&buffer, 0, &mut content).unwrap();
            assert!(content.iter().all(|b| *b == 0));
            cpu.write(&mut buffer, 0, &content).unwrap();
            assert!(cpu.write(&mut buffer, 1, &content).is_err() || bytes == 0);
        }
        for absurd in [usize::MAX, isize::MAX as usize, 1 << 60] {
            let words = cpu.alloc(absurd).err().unwrap().to_string();
            assert!(words.contains(&format!("no memory for {absurd} bytes")), "{words}");
        }
    }
}
