//! Operands in memory that shows what an op touches: guard zones around each, poison wherever nothing was given.

use super::{Outputs, POISON, poison};
use crate::backend::Runtime;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::{NamedViews, Operand};
use crate::tensor::{View, ViewMut};
use std::ops::Range;

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
    /// What is kept of it on the host, guards included: all, or where rows are spread, those without what is between them.
    initial: Vec<u8>,
    spread: bool,
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

/// How far rows of an operand are apart that may be strided.
#[derive(Clone, Copy)]
pub(super) enum Rows {
    /// A gap of so many elements between them, or one more, which is poisoned and checked.
    Gap(usize),
    /// So far that the last one begins more than 2^31 elements behind the first.
    Spread,
}

impl<B: Runtime> Slot<B> {
    pub(super) fn new(backend: &B, operand: Operand, apart: Rows, given: Option<&HostTensor>) -> Result<Self, Error> {
        let (row, size) = (operand.shape.row_len(), operand.dtype.bytes());
        let rows = operand.shape.dims().first().copied().unwrap_or(1);
        let (stride, spread) = match apart {
            _ if !operand.strided => (row, false),
            Rows::Gap(0) => (row, false),
            // Every row begins where the pattern of poison does.
            Rows::Gap(gap) => (((row + gap) * size).next_multiple_of(POISON.len()) / size, false),
            // Multiples of 8 keep the alignment that a packed row of them has.
            Rows::Spread => (row.max((1 << 31) / (rows.max(2) - 1) + 8).next_multiple_of(8), true),
        };
        let buffer = backend.alloc(GUARD + rows * stride * size + GUARD)?;
        let mem = B::offset(&backend.mem(&buffer), GUARD);
        let kept = GUARD + rows * if spread { row } else { stride } * size + GUARD;
        let mut slot = Slot { buffer, window: Window { mem, operand, stride }, initial: poison(kept), spread };
        slot.load(backend, given)?;
        Ok(slot)
    }

    /// Bytes of a row, and from row to row in what is kept.
    fn row_and_step(&self) -> (usize, usize) {
        let Window { operand, stride, .. } = &self.window;
        let (row, size) = (operand.shape.row_len(), operand.dtype.bytes());
        (row * size, if self.spread { row } else { *stride } * size)
    }

    /// The pieces of the buffer that are kept: where each lies in it, and where in what is kept.
    fn pieces(&self) -> Vec<(usize, Range<usize>)> {
        let (row, end) = (self.row_and_step().0, self.initial.len());
        if !self.spread || row == 0 {
            return vec![(0, 0..end)];
        }
        let stride = self.window.stride * self.window.operand.dtype.bytes();
        let rows = (end - 2 * GUARD) / row;
        let mut pieces = vec![(0, 0..GUARD)];
        pieces.extend((0..rows).map(|r| (GUARD + r * stride, GUARD + r * row..GUARD + (r + 1) * row)));
        pieces.push((GUARD + rows * stride, end - GUARD..end));
        pieces
    }

    /// Writes the given content, or poison; zero in a status word.
    fn load(&mut self, backend: &B, given: Option<&HostTensor>) -> Result<(), Error> {
        let (row, step) = self.row_and_step();
        self.initial = poison(self.initial.len());
        match given {
            Some(tensor) => {
                let rows = tensor.bytes.as_slice().chunks_exact(row.max(1));
                for (r, bytes) in rows.enumerate() {
                    let at = GUARD + r * step;
                    self.initial[at..at + row].copy_from_slice(bytes);
                }
            }
            None if self.window.operand.name == "status" => self.initial[GUARD..GUARD + row].fill(0),
            None => {}
        }
        for (at, kept) in self.pieces() {
            backend.write(&mut self.buffer, at, &self.initial[kept])?;
        }
        Ok(())
    }

    /// The content without its gaps, after checking that nothing else was written.
    fn read(&self, backend: &B) -> Result<Vec<u8>, Error> {
        let ((row, step), operand) = (self.row_and_step(), &self.window.operand);
        let mut now = vec![0; self.initial.len()];
        for (at, kept) in self.pieces() {
            backend.read(&self.buffer, at, &mut now[kept])?;
        }
        let end = now.len() - GUARD;
        let inside = |i: usize| operand.output && (GUARD..end).contains(&i) && (i - GUARD) % step.max(1) < row;
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
        Ok(now[GUARD..end].chunks_exact(step).flat_map(|r| &r[..row]).copied().collect())
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
