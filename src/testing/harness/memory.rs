//! Operands in memory that shows what an op touches: guard zones around each, poison wherever nothing was given.

use super::{Outputs, poison};
use crate::backend::Runtime;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::{NamedViews, Operand};
use crate::tensor::{View, ViewMut};

/// Bytes before and behind every operand; keeps the alignment that [`Runtime::alloc`] gives.
pub(super) const GUARD: usize = 256;

/// All operands of a call and its scratch.
pub(super) struct Memory<B: Runtime> {
    pub(super) slots: Vec<Slot<B>>,
    pub(super) scratch: Scratch<B>,
}

impl<B: Runtime> Memory<B> {
    /// Other inputs, everything else poisoned again.
    pub(super) fn load(&mut self, backend: &B, inputs: &[(&'static str, HostTensor)]) -> Result<(), Error> {
        for slot in &mut self.slots {
            let given = given(inputs, slot.window.operand.name);
            check_given(&slot.window.operand, given)?;
            slot.load(backend, given)?;
        }
        self.scratch.fill(backend)
    }

    pub(super) fn outputs(&self, backend: &B, variant: &str) -> Result<Outputs, Error> {
        self.scratch.check(backend)?;
        let mut outputs = Outputs { tensors: Vec::new(), status: None, variant: variant.to_string() };
        for slot in &self.slots {
            let (bytes, operand) = (slot.read(backend)?, &slot.window.operand);
            if operand.name == "status" {
                outputs.status = bytes.first_chunk().map(|word| u32::from_le_bytes(*word));
            } else if operand.output {
                let tensor = HostTensor::new(operand.dtype, operand.shape.dims(), bytes.into())?;
                outputs.tensors.push((operand.name, tensor));
            }
        }
        Ok(outputs)
    }
}

pub(super) fn given<'a>(inputs: &'a [(&'static str, HostTensor)], name: &str) -> Option<&'a HostTensor> {
    inputs.iter().find(|(n, _)| *n == name).map(|(_, t)| t)
}

pub(super) fn check_given(operand: &Operand, given: Option<&HostTensor>) -> Result<(), Error> {
    let problem = match given {
        Some(t) if t.dtype == operand.dtype && Some(t.len()) == operand.shape.checked_len() => return Ok(()),
        Some(t) => format!("must be {} {:?}, got {} {:?}", operand.dtype, operand.shape, t.dtype, t.shape),
        None if operand.output => return Ok(()),
        None => "is not among the inputs".into(),
    };
    Err(Error::input(format!("operand `{}`", operand.name), problem))
}

/// One operand in guarded memory.
pub(super) struct Slot<B: Runtime> {
    buffer: B::Buffer,
    pub(super) window: Window<B>,
    /// Guards included.
    initial: Vec<u8>,
}

/// Where an operand lies.
pub(super) struct Window<B: Runtime> {
    mem: B::Mem,
    operand: Operand,
    /// Elements from row to row.
    stride: usize,
}

impl<B: Runtime> Clone for Window<B> {
    fn clone(&self) -> Self {
        Window { mem: self.mem.clone(), ..*self }
    }
}

impl<B: Runtime> Slot<B> {
    pub(super) fn new(backend: &B, operand: Operand, gap: usize, given: Option<&HostTensor>) -> Result<Self, Error> {
        let stride = operand.shape.row_len() + gap;
        let rows = operand.shape.dims().first().copied().unwrap_or(1);
        let bytes = GUARD + rows * stride * operand.dtype.bytes() + GUARD;
        let buffer = backend.alloc(bytes)?;
        let mem = B::offset(&backend.mem(&buffer), GUARD);
        let mut slot = Slot { buffer, window: Window { mem, operand, stride }, initial: poison(bytes) };
        slot.load(backend, given)?;
        Ok(slot)
    }

    /// Writes the given content, or poison; zero in a status word.
    fn load(&mut self, backend: &B, given: Option<&HostTensor>) -> Result<(), Error> {
        let Window { operand, stride, .. } = &self.window;
        let (row, stride) = (operand.shape.row_len() * operand.dtype.bytes(), stride * operand.dtype.bytes());
        self.initial = poison(self.initial.len());
        match given {
            Some(tensor) => {
                let rows = tensor.bytes.as_slice().chunks_exact(row.max(1));
                for (r, bytes) in rows.enumerate() {
                    let at = GUARD + r * stride;
                    self.initial[at..at + row].copy_from_slice(bytes);
                }
            }
            None if operand.name == "status" => self.initial[GUARD..GUARD + row].fill(0),
            None => {}
        }
        backend.write(&mut self.buffer, 0, &self.initial)
    }

    /// The content without its gaps, after checking that nothing else was written.
    fn read(&self, backend: &B) -> Result<Vec<u8>, Error> {
        let Window { operand, stride, .. } = &self.window;
        let mut now = vec![0; self.initial.len()];
        backend.read(&self.buffer, 0, &mut now)?;
        let size = operand.dtype.bytes();
        let (row, stride) = (operand.shape.row_len() * size, stride * size);
        let end = now.len() - GUARD;
        let inside = |i: usize| operand.output && (GUARD..end).contains(&i) && (i - GUARD) % stride.max(1) < row;
        if let Some(i) = (0..now.len()).find(|i| now[*i] != self.initial[*i] && !inside(*i)) {
            let place = match operand.output {
                true => format!("byte {} outside it was written", i as i64 - GUARD as i64),
                false => format!("byte {} of this input was written", i as i64 - GUARD as i64),
            };
            return Err(Error::input(format!("operand `{}`", operand.name), place));
        }
        if row == 0 {
            return Ok(Vec::new());
        }
        Ok(now[GUARD..end].chunks_exact(stride).flat_map(|r| &r[..row]).copied().collect())
    }
}

/// Working memory between its guards.
pub(super) struct Scratch<B: Runtime> {
    buffer: B::Buffer,
    pub(super) window: Window<B>,
    /// Not poisoned: as the allocator gave it, so that tools see what is read before it is written.
    raw: bool,
}

impl<B: Runtime> Scratch<B> {
    pub(super) fn new(backend: &B, bytes: usize, raw: bool) -> Result<Self, Error> {
        let buffer = backend.alloc(GUARD + bytes + GUARD)?;
        let mem = B::offset(&backend.mem(&buffer), GUARD);
        let operand = Operand::output("scratch", DType::U8, &[bytes]);
        let mut scratch = Scratch { buffer, window: Window { mem, operand, stride: 1 }, raw };
        scratch.fill(backend)?;
        Ok(scratch)
    }

    fn fill(&mut self, backend: &B) -> Result<(), Error> {
        let bytes = self.window.operand.shape.len();
        if !self.raw {
            backend.write(&mut self.buffer, GUARD, &poison(bytes))?;
        }
        [0, GUARD + bytes].into_iter().try_for_each(|at| backend.write(&mut self.buffer, at, &poison(GUARD)))
    }

    fn check(&self, backend: &B) -> Result<(), Error> {
        let bytes = self.window.operand.shape.len();
        for at in [0, GUARD + bytes] {
            let mut guard = [0; GUARD];
            backend.read(&self.buffer, at, &mut guard)?;
            if let Some(i) = guard.iter().zip(poison(GUARD)).position(|(now, before)| *now != before) {
                let place = format!("byte {} outside it was written", (at + i) as i64 - GUARD as i64);
                return Err(Error::input("operand `scratch`", place));
            }
        }
        Ok(())
    }
}

impl<B: Runtime> Window<B> {
    fn view<'a>(&self) -> View<'a, B> {
        let (dtype, dims) = (self.operand.dtype, self.operand.shape.dims());
        // SAFETY: the slot's buffer holds every row at this stride behind the guard; `Prepared` keeps it.
        unsafe { View::from_raw(self.mem.clone(), dtype, dims).with_row_stride(self.stride) }
    }

    pub(super) fn view_mut<'a>(&self) -> ViewMut<'a, B> {
        let (dtype, dims) = (self.operand.dtype, self.operand.shape.dims());
        // SAFETY: as in `view`; a call makes one window of each slot, and the host reads only after the work is done.
        unsafe { ViewMut::from_raw(self.mem.clone(), dtype, dims).with_row_stride(self.stride) }
    }
}

/// An op's operands by name.
pub(super) struct Views<'a, B: Runtime>(pub(super) &'a [Window<B>]);

impl<B: Runtime> Views<'_, B> {
    fn window(&self, name: &str, output: bool) -> Option<&Window<B>> {
        self.0.iter().find(|w| w.operand.name == name && w.operand.output == output)
    }
}

impl<'a, B: Runtime> NamedViews<'a, B> for Views<'a, B> {
    fn view(&mut self, name: &'static str) -> Option<View<'a, B>> {
        self.window(name, false).map(Window::view)
    }

    fn view_mut(&mut self, name: &'static str) -> Option<ViewMut<'a, B>> {
        self.window(name, true).map(Window::view_mut)
    }
}
