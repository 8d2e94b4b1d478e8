//! Operands that rotate: several copies of each in one buffer, so that a call does not find the last one's in the cache.

use super::pattern::Pattern;
use crate::backend::{Backend, Hint, Provide, Runtime};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::Kernel;
use crate::op::{ArgSet, NamedViews, Op};
use crate::tensor::{Shape, View, ViewMut};
use std::sync::{Arc, OnceLock};

/// Copies of an operand start at multiples of this.
const ALIGN: usize = 256;
/// Bytes written at once.
const CHUNK: usize = 16 << 20;

/// One operand for every set: set s uses copy `s % copies`.
pub(super) struct Slot<B: Runtime> {
    buffer: B::Buffer,
    mem: B::Mem,
    dtype: DType,
    shape: Shape,
    /// Bytes from copy to copy.
    stride: usize,
    copies: usize,
    pattern: Option<Pattern>,
    /// Copy 0 on the host, where it was asked for.
    host: OnceLock<HostTensor>,
}

impl<B: Runtime> Slot<B> {
    /// Copies of unspecified content.
    pub(super) fn empty(backend: &B, dtype: DType, shape: &[usize], copies: usize) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self::new(backend, dtype, shape, copies, 1)?))
    }

    /// Copies that a pattern fills, each from another place on.
    pub(super) fn filled(
        backend: &B,
        dtype: DType,
        shape: &[usize],
        copies: usize,
        pattern: &Pattern,
    ) -> Result<Arc<Self>, Error> {
        let mut slot = Self::new(backend, dtype, shape, copies, pattern.unit())?;
        let total = slot.stride * copies;
        for at in (0..total).step_by(CHUNK) {
            backend.write(&mut slot.buffer, at, &pattern.bytes(at, CHUNK.min(total - at)))?;
        }
        slot.pattern = Some(pattern.clone());
        Ok(Arc::new(slot))
    }

    /// One copy a tensor; all are of one type and shape.
    pub(super) fn of(backend: &B, tensors: &[HostTensor]) -> Result<Arc<Self>, Error> {
        let none = || Error::input("operand", "has no copies");
        let first = tensors.first().ok_or_else(none)?;
        let mut slot = Self::new(backend, first.dtype, &first.shape, tensors.len(), 1)?;
        for (i, tensor) in tensors.iter().enumerate() {
            backend.write(&mut slot.buffer, i * slot.stride, tensor.bytes.as_slice())?;
        }
        Ok(Arc::new(slot))
    }

    /// One copy, shared with the host where the backend can.
    pub(super) fn import(backend: &B, tensor: &HostTensor) -> Result<Arc<Self>, Error> {
        let buffer = backend.import(&tensor.bytes)?;
        let (shape, stride) = (Shape::new(&tensor.shape), tensor.bytes.as_slice().len());
        let (mem, host) = (backend.mem(&buffer), OnceLock::new());
        Ok(Arc::new(Slot { buffer, mem, dtype: tensor.dtype, shape, stride, copies: 1, pattern: None, host }))
    }

    /// Every copy starts at a whole number of `unit`s.
    fn new(backend: &B, dtype: DType, dims: &[usize], copies: usize, unit: usize) -> Result<Self, Error> {
        let shape = Shape::new(dims);
        let bytes = shape.len().saturating_mul(dtype.bytes());
        let stride = bytes.checked_next_multiple_of(ALIGN * unit.max(1)).unwrap_or(usize::MAX);
        let buffer = backend.alloc(stride.saturating_mul(copies))?;
        let mem = backend.mem(&buffer);
        Ok(Slot { buffer, mem, dtype, shape, stride, copies, pattern: None, host: OnceLock::new() })
    }

    /// Is it copies of this form?
    fn is(&self, dtype: DType, dims: &[usize], copies: usize) -> bool {
        self.dtype == dtype && self.shape.dims() == dims && self.copies == copies
    }

    /// Bytes of one copy.
    pub(super) fn bytes(&self) -> usize {
        self.shape.len() * self.dtype.bytes()
    }

    /// Copy 0 of a slot that a pattern fills.
    pub(super) fn host(&self) -> Result<&HostTensor, Error> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        let host = self.host_rows(0, self.shape.dims().first().copied().unwrap_or(1))?;
        Ok(self.host.get_or_init(|| host))
    }

    /// Rows `first .. first + count` of copy 0 of a slot that a pattern fills.
    pub(super) fn host_rows(&self, first: usize, count: usize) -> Result<HostTensor, Error> {
        let row = self.shape.row_len() * self.dtype.bytes();
        let bytes = self.host_bytes(first * row, count * row)?;
        HostTensor::new(self.dtype, &with_rows(&self.shape, count), bytes.into())
    }

    /// `len` bytes from byte `at` on, over all copies of a slot that a pattern fills.
    pub(super) fn host_bytes(&self, at: usize, len: usize) -> Result<Vec<u8>, Error> {
        let unknown = || Error::input("operand", "its content is not known on the host");
        Ok(self.pattern.as_ref().ok_or_else(unknown)?.bytes(at, len))
    }

    /// Rows of copy 0 as the device left them, after all submitted work.
    pub(super) fn read_rows(&self, backend: &B, first: usize, count: usize) -> Result<HostTensor, Error> {
        let row = self.shape.row_len() * self.dtype.bytes();
        let mut bytes = vec![0; count * row];
        backend.read(&self.buffer, first * row, &mut bytes)?;
        HostTensor::new(self.dtype, &with_rows(&self.shape, count), bytes.into())
    }

    /// All of copy 0 as the device left it.
    pub(super) fn read(&self, backend: &B) -> Result<HostTensor, Error> {
        self.read_rows(backend, 0, self.shape.dims().first().copied().unwrap_or(1))
    }

    fn at(&self, set: usize) -> B::Mem {
        <B as Backend>::offset(&self.mem, set % self.copies * self.stride)
    }
}

/// Operands by name, the last ones of each.
pub(super) struct Held<B: Runtime>(Vec<(&'static str, Arc<Slot<B>>)>);

impl<B: Runtime> Held<B> {
    pub(super) fn new() -> Self {
        Held(Vec::new())
    }

    /// The one of this name and form. One of another form is let go, before a new one is made.
    pub(super) fn take(&mut self, name: &str, dtype: DType, dims: &[usize], copies: usize) -> Option<Arc<Slot<B>>> {
        self.0.retain(|(n, slot)| *n != name || slot.is(dtype, dims, copies));
        self.0.iter().find(|(n, _)| *n == name).map(|(_, slot)| slot.clone())
    }

    pub(super) fn put(&mut self, name: &'static str, slot: &Arc<Slot<B>>) {
        self.0.push((name, slot.clone()));
    }
}

fn with_rows(shape: &Shape, rows: usize) -> Vec<usize> {
    let mut dims = shape.dims().to_vec();
    if let Some(first) = dims.first_mut() {
        *first = rows;
    }
    dims
}

/// An op with its operands by name.
pub(super) struct Call<O: Op, B: Runtime + Provide<O>> {
    kernel: Kernel<O, B>,
    operands: Vec<(&'static str, Arc<Slot<B>>)>,
    scratch: Arc<Slot<B>>,
}

impl<O: Op, B: Runtime + Provide<O>> Call<O, B> {
    pub(super) fn new(
        backend: &B,
        op: O,
        hint: Hint<'_>,
        operands: Vec<(&'static str, Arc<Slot<B>>)>,
    ) -> Result<Self, Error> {
        let kernel = Kernel::plan(backend, op, hint)?;
        let scratch = Slot::empty(backend, DType::U8, &[kernel.scratch().bytes], 1)?;
        Ok(Call { kernel, operands, scratch })
    }

    pub(super) fn enqueue(&self, backend: &B, set: usize, queue: &mut B::Queue<'_>) -> Result<(), Error> {
        let args = O::Args::assemble(O::NAME, &mut Views { operands: &self.operands, set })?;
        let Slot { dtype, shape, .. } = &*self.scratch;
        // SAFETY: the scratch was allocated at this size, and calls of one queue run one after the other.
        let scratch = unsafe { ViewMut::from_raw(self.scratch.at(0), *dtype, shape.dims()) };
        self.kernel.enqueue(backend, args, scratch, queue)
    }

    /// Runs set 0 once.
    pub(super) fn run(&self, backend: &B) -> Result<(), Error> {
        backend.submit(|queue| self.enqueue(backend, 0, queue))
    }

    pub(super) fn op(&self) -> &O {
        self.kernel.op()
    }

    pub(super) fn variant(&self) -> &str {
        self.kernel.variant()
    }

    pub(super) fn scratch_bytes(&self) -> usize {
        self.kernel.scratch().bytes
    }

    /// Bytes of the operands of one call and its scratch.
    pub(super) fn peak_bytes(&self) -> usize {
        self.operands.iter().map(|(_, slot)| slot.bytes()).sum::<usize>() + self.scratch_bytes()
    }

    pub(super) fn slot(&self, name: &str) -> Result<&Slot<B>, Error> {
        let found = self.operands.iter().find(|(n, _)| *n == name).map(|(_, slot)| &**slot);
        found.ok_or_else(|| Error::input(format!("operand `{name}`"), "is not among the call's"))
    }
}

struct Views<'a, B: Runtime> {
    operands: &'a [(&'static str, Arc<Slot<B>>)],
    set: usize,
}

impl<'a, B: Runtime> Views<'a, B> {
    fn slot(&self, name: &str) -> Option<&'a Slot<B>> {
        self.operands.iter().find(|(n, _)| *n == name).map(|(_, slot)| &**slot)
    }
}

impl<'a, B: Runtime> NamedViews<'a, B> for Views<'a, B> {
    fn view(&mut self, name: &'static str) -> Option<View<'a, B>> {
        let slot = self.slot(name)?;
        // SAFETY: every copy holds this type and shape, and the call keeps the slot alive.
        Some(unsafe { View::from_raw(slot.at(self.set), slot.dtype, slot.shape.dims()) })
    }

    fn view_mut(&mut self, name: &'static str) -> Option<ViewMut<'a, B>> {
        let slot = self.slot(name)?;
        // SAFETY: as in `view`; an output has one name in one call, and calls of one queue run one after the other.
        Some(unsafe { ViewMut::from_raw(slot.at(self.set), slot.dtype, slot.shape.dims()) })
    }
}
