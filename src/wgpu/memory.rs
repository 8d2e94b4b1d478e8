//! Device memory and submission, for programs without an engine.

use super::Wgpu;
use super::bind::Located;
use super::device::{caught, said};
use crate::backend::Runtime;
use crate::error::Error;
use std::borrow::Cow;
use std::sync::mpsc;

/// A place in a buffer.
#[derive(Clone, Debug)]
pub struct Mem {
    /// The engine's buffer, with usage `STORAGE`.
    pub buffer: wgpu::Buffer,
    /// Bytes from its beginning.
    pub offset: u64,
}

impl Located for Mem {
    fn at(&self) -> u64 {
        self.offset
    }

    fn buffer_size(&self) -> u64 {
        self.buffer.size()
    }
}

/// Device memory, freed on drop.
pub struct WgpuBuffer {
    buffer: wgpu::Buffer,
    bytes: usize,
}

/// What copies are made in, so that no more than this is ever staged at once.
const PIECE: usize = 64 << 20;
/// Copies begin and end at multiples of this.
const WORD: usize = wgpu::COPY_BUFFER_ALIGNMENT as usize;

/// Whole words that begin at the first number and have `bytes` at `offset`: words that are written in part keep the rest, which
/// `read` reads.
pub(super) fn whole_words(
    bytes: &[u8],
    offset: usize,
    buffer_bytes: usize,
    read: impl FnOnce(usize, &mut [u8]) -> Result<(), Error>,
) -> Result<(usize, Cow<'_, [u8]>), Error> {
    let (first, end) = (offset / WORD * WORD, (offset + bytes.len()).next_multiple_of(WORD));
    let (before, behind) = (offset - first, end - offset - bytes.len());
    if (before, behind) == (0, 0) {
        return Ok((first, bytes.into()));
    }
    let mut words = vec![0; end - first];
    if before > 0 || offset + bytes.len() < buffer_bytes {
        read(first, &mut words)?;
    }
    let len = words.len();
    words[before..len - behind].copy_from_slice(bytes);
    Ok((first, words.into()))
}

impl WgpuBuffer {
    /// What has these bytes.
    pub(super) fn holds(&self, offset: usize, len: usize) -> Result<&wgpu::Buffer, Error> {
        self.check(offset, len).map(|()| &self.buffer)
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.bytes => Ok(()),
            _ => Err(Error::input("buffer", format!("holds {} bytes, asked for {len} at {offset}", self.bytes))),
        }
    }
}

impl Wgpu {
    fn create(&self, size: usize, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, Error> {
        let device = &self.device.device;
        let most = self.device.capabilities.limits.max_buffer_size;
        if size as u64 > most {
            return Err(Error::input("buffer", format!("of {size} bytes: the device has buffers of up to {most}")));
        }
        caught(device, &format!("allocating {size} bytes"), || {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("dropless"),
                size: size as u64,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// Waits for everything submitted.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let waited = self.device.device.poll(wgpu::PollType::wait_indefinitely());
        waited.map(|_| ()).map_err(|e| said("waiting for the device", e))
    }

    /// Submits a copy of whole words of a buffer.
    pub(super) fn copy_out(&self, buffer: &wgpu::Buffer, offset: usize, bytes: usize) -> Result<Copied, Error> {
        let staging = self.create(bytes, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ)?;
        let (device, (sender, mapped)) = (&self.device.device, mpsc::channel());
        let submitted = caught(device, "reading a buffer", || {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(buffer, offset as u64, &staging, 0, bytes as u64);
            let submitted = self.device.queue.submit([encoder.finish()]);
            staging.slice(..).map_async(wgpu::MapMode::Read, move |done| {
                // Nobody may wait for it.
                let _ = sender.send(done);
            });
            submitted
        })?;
        Ok(Copied { device: device.clone(), staging, submitted, mapped })
    }

    /// Whole words of a buffer, after all submitted work.
    pub(super) fn read_words(&self, buffer: &wgpu::Buffer, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        self.copy_out(buffer, offset, into.len())?.wait(into)
    }
}

/// A copy on its way to the host.
pub(super) struct Copied {
    device: wgpu::Device,
    staging: wgpu::Buffer,
    submitted: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Copied {
    /// Waits for it, and for nothing that was submitted later. `into` is as long as it is.
    pub(super) fn wait(self, into: &mut [u8]) -> Result<(), Error> {
        let wait = wgpu::PollType::Wait { submission_index: Some(self.submitted), timeout: None };
        self.device.poll(wait).map_err(|e| said("waiting for the device", e))?;
        let mapped = self.mapped.recv().map_err(|e| said("mapping a buffer", e))?;
        mapped.map_err(|e| said("mapping a buffer", e))?;
        let view = self.staging.slice(..).get_mapped_range().map_err(|e| said("mapping a buffer", e))?;
        into.copy_from_slice(&view);
        Ok(())
    }
}

impl Runtime for Wgpu {
    type Buffer = WgpuBuffer;
    const PREPACKS: bool = true;

    fn alloc(&self, bytes: usize) -> Result<WgpuBuffer, Error> {
        use wgpu::BufferUsages as Usage;
        let size = bytes.max(1).next_multiple_of(WORD);
        let buffer = self.create(size, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?;
        Ok(WgpuBuffer { buffer, bytes })
    }

    fn mem(&self, buffer: &WgpuBuffer) -> Mem {
        Mem { buffer: buffer.buffer.clone(), offset: 0 }
    }

    fn write(&self, buffer: &mut WgpuBuffer, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        buffer.check(offset, bytes.len())?;
        let (first, whole) =
            whole_words(bytes, offset, buffer.bytes, |first, words| self.read_words(&buffer.buffer, first, words))?;
        for (i, piece) in whole.chunks(PIECE).enumerate() {
            let at = (first + i * PIECE) as u64;
            caught(&self.device.device, "writing a buffer", || {
                self.device.queue.write_buffer(&buffer.buffer, at, piece);
            })?;
            if piece.len() == PIECE {
                // What was staged is freed when it has been copied.
                self.device.queue.submit([]);
                self.finish()?;
            }
        }
        Ok(())
    }

    fn read(&self, buffer: &WgpuBuffer, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        buffer.check(offset, into.len())?;
        if into.is_empty() {
            return self.finish();
        }
        let (first, end) = (offset / WORD * WORD, (offset + into.len()).next_multiple_of(WORD));
        if (first, end) == (offset, offset + into.len()) {
            return self.read_words(&buffer.buffer, offset, into);
        }
        let mut words = vec![0; end - first];
        self.read_words(&buffer.buffer, first, &mut words)?;
        into.copy_from_slice(&words[offset - first..][..into.len()]);
        Ok(())
    }

    fn submit<R>(&self, record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<R, Error>) -> Result<R, Error> {
        let device = &self.device.device;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let made = record(&mut encoder)?;
        caught(device, "submitting", || self.device.queue.submit([encoder.finish()]))?;
        Ok(made)
    }
}
