//! Runs any op on any backend from named host tensors, in memory that shows what the op touches.
//!
//! Every operand lies between two guard zones. Outputs, scratch, guard zones and the gaps of strided rows are filled with
//! [`POISON`], a NaN in every floating-point type. Afterwards the guards and gaps must be as they were, and so must every
//! byte of every input.

use crate::backend::{Hint, Provide, Runtime};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::Kernel;
use crate::op::{ArgSet, Fault, NamedViews, Op, Operand};
use crate::tensor::{View, ViewMut};

/// Two bytes that repeat: NaN in f64, f32, f16 and bf16, far out of range as an index.
pub const POISON: [u8; 2] = [0xfd, 0xff];
/// Bytes before and behind every operand; keeps the alignment that [`Runtime::alloc`] gives.
const GUARD: usize = 256;

/// How to run.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options<'a> {
    /// Passed to [`Kernel::plan`].
    pub hint: Hint<'a>,
    /// Elements added to the row stride of operands that may be strided.
    pub row_gap: usize,
}

/// What an op wrote.
#[derive(Clone)]
pub struct Outputs {
    tensors: Vec<(&'static str, HostTensor)>,
    /// The status word, where the op has one.
    pub status: Option<u32>,
    /// The variant that ran.
    pub variant: String,
}

impl Outputs {
    /// An output by the name of its operand.
    ///
    /// # Errors
    /// [`Error::Input`] where the op has no such output.
    pub fn get(&self, name: &str) -> Result<&HostTensor, Error> {
        let found = self.tensors.iter().find(|(n, _)| *n == name);
        found.map(|(_, t)| t).ok_or_else(|| Error::input(format!("output `{name}`"), "the op has none of this name"))
    }

    /// All outputs but the status word, in the order of the op's operands.
    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, HostTensor)> {
        self.tensors.iter()
    }

    /// `Err` in words where the status word names a fault.
    ///
    /// # Errors
    /// [`Error::Input`] naming the faults.
    pub fn no_fault(self) -> Result<Self, Error> {
        match self.status.and_then(Fault::describe) {
            Some(words) => Err(Error::input("device status word", words)),
            None => Ok(self),
        }
    }
}

/// Runs `spec` once. `inputs` are named as the spec's operands; an output given there starts with those bytes instead of
/// poison (a cache that the op writes in part).
///
/// # Errors
/// [`Error::Input`] for an input that is missing or of another type or size than the spec asks for, and where the op wrote
/// outside its outputs; else what planning and enqueueing return.
pub fn run<O: Op, B: Runtime + Provide<O>>(
    backend: &B,
    spec: &O,
    inputs: &[(&'static str, HostTensor)],
    options: Options<'_>,
) -> Result<Outputs, Error> {
    let kernel = Kernel::plan(backend, *spec, options.hint)?;
    // Before any memory is taken: sizes of outputs follow from those of inputs.
    for operand in spec.operands() {
        check_given(&operand, inputs.iter().find(|(name, _)| *name == operand.name).map(|(_, t)| t))?;
    }
    let mut slots = Vec::new();
    for operand in spec.operands() {
        let given = inputs.iter().find(|(name, _)| *name == operand.name).map(|(_, t)| t);
        let gap = if operand.strided { options.row_gap } else { 0 };
        slots.push(Slot::new(backend, operand, gap, given)?);
    }
    let need = kernel.scratch();
    if need.align > GUARD {
        return Err(Error::input("scratch", format!("the harness aligns to {GUARD} bytes, asked for {}", need.align)));
    }
    let scratch = Slot::new(backend, Operand::output("scratch", DType::U8, &[need.bytes]), 0, None)?;
    let args = O::Args::assemble(O::NAME, &mut Views { backend, slots: &slots })?;
    backend.submit(|queue| kernel.enqueue(backend, args, scratch.view_mut(backend), queue))?;
    scratch.read(backend)?;
    let mut outputs = Outputs { tensors: Vec::new(), status: None, variant: kernel.variant().to_string() };
    for slot in &slots {
        let bytes = slot.read(backend)?;
        if slot.operand.name == "status" {
            outputs.status = bytes.first_chunk().map(|word| u32::from_le_bytes(*word));
        } else if slot.operand.output {
            let tensor = HostTensor::new(slot.operand.dtype, slot.operand.shape.dims(), bytes.into())?;
            outputs.tensors.push((slot.operand.name, tensor));
        }
    }
    Ok(outputs)
}

/// Runs `spec` twice, the second time in fresh memory; both must give the same bits.
///
/// # Errors
/// As [`run`], and [`Error::Input`] naming an output that differs.
pub fn run_twice<O: Op, B: Runtime + Provide<O>>(
    backend: &B,
    spec: &O,
    inputs: &[(&'static str, HostTensor)],
    options: Options<'_>,
) -> Result<Outputs, Error> {
    let first = run(backend, spec, inputs, options)?;
    let second = run(backend, spec, inputs, options)?;
    for ((name, a), (_, b)) in first.iter().zip(second.iter()) {
        if a.bytes.as_slice() != b.bytes.as_slice() {
            return Err(Error::input(format!("{} `{name}`", O::NAME), "differs between two runs on the same inputs"));
        }
    }
    match first.status == second.status {
        true => Ok(first),
        false => Err(Error::input(format!("{} status word", O::NAME), "differs between two runs on the same inputs")),
    }
}

/// `len` bytes of poison.
pub fn poison(len: usize) -> Vec<u8> {
    POISON.iter().copied().cycle().take(len).collect()
}

fn check_given(operand: &Operand, given: Option<&HostTensor>) -> Result<(), Error> {
    let problem = match given {
        Some(t) if t.dtype == operand.dtype && Some(t.len()) == operand.shape.checked_len() => return Ok(()),
        Some(t) => format!("must be {} {:?}, got {} {:?}", operand.dtype, operand.shape, t.dtype, t.shape),
        None if operand.output => return Ok(()),
        None => "is not among the inputs".into(),
    };
    Err(Error::input(format!("operand `{}`", operand.name), problem))
}

/// One operand in guarded memory.
struct Slot<B: Runtime> {
    buffer: B::Buffer,
    operand: Operand,
    /// Elements from row to row.
    stride: usize,
    /// Guards included.
    initial: Vec<u8>,
}

impl<B: Runtime> Slot<B> {
    fn new(backend: &B, operand: Operand, gap: usize, given: Option<&HostTensor>) -> Result<Self, Error> {
        let (row, size) = (operand.shape.row_len(), operand.dtype.bytes());
        let rows = operand.shape.dims().first().copied().unwrap_or(1);
        let stride = row + gap;
        let mut initial = poison(GUARD + rows * stride * size + GUARD);
        match given {
            Some(tensor) => {
                let bytes = tensor.bytes.as_slice();
                for r in 0..rows {
                    let at = GUARD + r * stride * size;
                    initial[at..at + row * size].copy_from_slice(&bytes[r * row * size..(r + 1) * row * size]);
                }
            }
            None if operand.name == "status" => initial[GUARD..GUARD + size].fill(0),
            None => {}
        }
        let mut buffer = backend.alloc(initial.len())?;
        backend.write(&mut buffer, 0, &initial)?;
        Ok(Slot { buffer, operand, stride, initial })
    }

    /// The content without its gaps, after checking that nothing else was written.
    fn read(&self, backend: &B) -> Result<Vec<u8>, Error> {
        let mut now = vec![0; self.initial.len()];
        backend.read(&self.buffer, 0, &mut now)?;
        let size = self.operand.dtype.bytes();
        let (row, stride) = (self.operand.shape.row_len() * size, self.stride * size);
        let end = now.len() - GUARD;
        let inside = |i: usize| self.operand.output && (GUARD..end).contains(&i) && (i - GUARD) % stride.max(1) < row;
        if let Some(i) = (0..now.len()).find(|i| now[*i] != self.initial[*i] && !inside(*i)) {
            let place = match self.operand.output {
                true => format!("byte {} outside it was written", i as i64 - GUARD as i64),
                false => format!("byte {} of this input was written", i as i64 - GUARD as i64),
            };
            return Err(Error::input(format!("operand `{}`", self.operand.name), place));
        }
        if row == 0 {
            return Ok(Vec::new());
        }
        Ok(now[GUARD..end].chunks_exact(stride).flat_map(|r| &r[..row]).copied().collect())
    }

    fn view(&self, backend: &B) -> View<'_, B> {
        let mem = B::offset(&backend.mem(&self.buffer), GUARD);
        // SAFETY: the buffer holds every row at this stride behind the guard, and lives as long as the borrow.
        unsafe { View::from_raw(mem, self.operand.dtype, self.operand.shape.dims()).with_row_stride(self.stride) }
    }

    fn view_mut(&self, backend: &B) -> ViewMut<'_, B> {
        let mem = B::offset(&backend.mem(&self.buffer), GUARD);
        // SAFETY: as in `view`; `run` makes one window of each slot, and the host reads only after the work is done.
        unsafe { ViewMut::from_raw(mem, self.operand.dtype, self.operand.shape.dims()).with_row_stride(self.stride) }
    }
}

struct Views<'a, B: Runtime> {
    backend: &'a B,
    slots: &'a [Slot<B>],
}

impl<'a, B: Runtime> Views<'a, B> {
    fn slot(&self, name: &str, output: bool) -> Option<&'a Slot<B>> {
        self.slots.iter().find(|s| s.operand.name == name && s.operand.output == output)
    }
}

impl<'a, B: Runtime> NamedViews<'a, B> for Views<'a, B> {
    fn view(&mut self, name: &'static str) -> Option<View<'a, B>> {
        self.slot(name, false).map(|s| s.view(self.backend))
    }

    fn view_mut(&mut self, name: &'static str) -> Option<ViewMut<'a, B>> {
        self.slot(name, true).map(|s| s.view_mut(self.backend))
    }
}
