//! Runs any op on any backend from named host tensors, in memory that shows what the op touches.
//!
//! Every operand lies between two guard zones. Outputs, scratch (but for [`Options::raw_scratch`]), guard zones and the gaps
//! of strided rows are filled with [`POISON`], a NaN in every floating-point type. Afterwards the guards and gaps must be as
//! they were, and so must every byte of every input.

mod memory;

use crate::backend::{Hint, Provide, Replay, Runtime};
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::Kernel;
use crate::op::{ArgSet, Fault, Op};
use memory::{GUARD, Memory, Rows, Scratch, Slot, Views, Window, check_given, given};

/// Two bytes that repeat: NaN in f64, f32, f16 and bf16, far out of range as an index.
pub const POISON: [u8; 2] = [0xfd, 0xff];

/// Operands by name.
pub type Inputs = Vec<(&'static str, HostTensor)>;

/// How to run.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options<'a> {
    /// Passed to [`Kernel::plan`].
    pub hint: Hint<'a>,
    /// Elements added to the row stride of operands that may be strided.
    pub row_gap: usize,
    /// Scratch as the allocator gives it, not poisoned.
    pub raw_scratch: bool,
    /// Rows of operands that may be strided are spread over more than 2^31 elements, instead of `row_gap`. What lies between
    /// them is not checked. Takes gigabytes.
    pub spread: bool,
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

    /// The first output that is not the other's bit for bit, if there is one.
    pub fn differs(&self, other: &Outputs) -> Option<&'static str> {
        let mut pairs = self.iter().zip(other.iter());
        let differs =
            pairs.find(|((_, a), (_, b))| a.bytes.as_slice() != b.bytes.as_slice()).map(|((name, _), _)| *name);
        differs.or((self.status != other.status).then_some("status"))
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
/// As [`Prepared::new`] and [`Prepared::outputs`], else what enqueueing returns.
pub fn run<O: Op, B: Runtime + Provide<O>>(
    backend: &B,
    spec: &O,
    inputs: &[(&'static str, HostTensor)],
    options: Options<'_>,
) -> Result<Outputs, Error> {
    let prepared = Prepared::new(backend, spec, inputs, options)?;
    backend.submit(|queue| prepared.enqueue(backend, queue))?;
    prepared.outputs(backend)
}

/// Records `spec` once and replays it on each of `loads`, which differ in what lies on the device and in nothing else.
///
/// # Errors
/// As [`run`], and what recording and replaying return.
pub fn replay<O: Op, B: Replay + Provide<O>>(
    backend: &B,
    spec: &O,
    loads: &[Inputs],
    options: Options<'_>,
) -> Result<Vec<Outputs>, Error> {
    let first = loads.first().ok_or_else(|| Error::input("loads", "there are none"))?;
    let Prepared { call, mut memory } = Prepared::new(backend, spec, first, options)?;
    let recorded = backend.record(|queue| call.enqueue(backend, queue))?;
    let mut outputs = Vec::new();
    for inputs in loads {
        memory.load(backend, inputs)?;
        backend.replay(&recorded)?;
        outputs.push(memory.outputs(backend, call.kernel.variant())?);
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
    match first.differs(&run(backend, spec, inputs, options)?) {
        None => Ok(first),
        Some(name) => Err(Error::input(format!("{} `{name}`", O::NAME), "differs between two runs on the same inputs")),
    }
}

/// `len` bytes of poison.
pub fn poison(len: usize) -> Vec<u8> {
    POISON.iter().copied().cycle().take(len).collect()
}

/// A planned op with its operands in guarded memory.
pub struct Prepared<O: Op, B: Runtime + Provide<O>> {
    call: Call<O, B>,
    memory: Memory<B>,
}

impl<O: Op, B: Runtime + Provide<O>> Prepared<O, B> {
    /// Plans `spec` and lays out its operands.
    ///
    /// # Errors
    /// [`Error::Input`] for an input that is missing or of another type or size than the spec asks for, else what planning
    /// and allocating return.
    pub fn new(
        backend: &B,
        spec: &O,
        inputs: &[(&'static str, HostTensor)],
        options: Options<'_>,
    ) -> Result<Self, Error> {
        let kernel = Kernel::plan(backend, *spec, options.hint)?;
        // Before any memory is taken: sizes of outputs follow from those of inputs.
        for operand in spec.operands() {
            check_given(&operand, given(inputs, operand.name))?;
        }
        let apart = if options.spread { Rows::Spread } else { Rows::Gap(options.row_gap) };
        let mut slots = Vec::new();
        for operand in spec.operands() {
            slots.push(Slot::new(backend, operand, apart, given(inputs, operand.name))?);
        }
        let need = kernel.scratch();
        if need.align > GUARD {
            let problem = format!("the harness aligns to {GUARD} bytes, asked for {}", need.align);
            return Err(Error::input("scratch", problem));
        }
        let scratch = Scratch::new(backend, need.bytes, options.raw_scratch)?;
        let windows = slots.iter().map(|s| s.window.clone()).collect();
        Ok(Prepared {
            call: Call { kernel, windows, scratch: scratch.window.clone() },
            memory: Memory { slots, scratch },
        })
    }

    /// Records one call. The memory must not be dropped before it has run.
    ///
    /// # Errors
    /// What enqueueing returns.
    pub fn enqueue(&self, backend: &B, queue: &mut B::Queue<'_>) -> Result<(), Error> {
        self.call.enqueue(backend, queue)
    }

    /// What the call wrote. It must have been submitted through the [`Runtime`], or have ended.
    ///
    /// # Errors
    /// [`Error::Input`] where the op wrote outside its outputs.
    pub fn outputs(&self, backend: &B) -> Result<Outputs, Error> {
        self.memory.outputs(backend, self.call.kernel.variant())
    }
}

/// A kernel and where its operands lie, in memory that [`Prepared`] keeps.
struct Call<O: Op, B: Runtime + Provide<O>> {
    kernel: Kernel<O, B>,
    windows: Vec<Window<B>>,
    scratch: Window<B>,
}

impl<O: Op, B: Runtime + Provide<O>> Call<O, B> {
    fn enqueue(&self, backend: &B, queue: &mut B::Queue<'_>) -> Result<(), Error> {
        let args = O::Args::assemble(O::NAME, &mut Views(&self.windows))?;
        self.kernel.enqueue(backend, args, self.scratch.view_mut(), queue)
    }
}
