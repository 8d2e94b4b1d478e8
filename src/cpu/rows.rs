//! Operands as rows of numbers: loads that convert exactly, stores that round once, at any alignment.

use super::Cpu;
use super::memory::CpuMem;
use super::real::Real;
use crate::dtype::{DType, e4m3};
use crate::tensor::{View, ViewInfo, ViewMut};
use half::{bf16, f16};
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// A matrix in memory: rows of contiguous elements. A tensor of one dimension is one row; further dimensions are part of it.
#[derive(Clone, Copy)]
struct Grid {
    mem: CpuMem,
    dtype: DType,
    rows: usize,
    len: usize,
    stride: usize,
}

impl Grid {
    fn new(mem: CpuMem, info: ViewInfo) -> Grid {
        let (rows, len) = match info.shape.dims() {
            [n] => (1, *n),
            dims => (dims.first().copied().unwrap_or(1), info.shape.row_len()),
        };
        Grid { mem, dtype: info.dtype, rows, len, stride: info.row_stride }
    }

    /// Address of `count` elements of a row. That memory is only touched inside the operand rests on this line and not on the
    /// loops; operands that passed `bind` never get it wrong.
    fn at(&self, row: usize, start: usize, count: usize) -> *mut u8 {
        assert!(row < self.rows && start <= self.len && count <= self.len - start, "inside the operand");
        self.mem.offset((row * self.stride + start) * self.dtype.bytes()).as_ptr()
    }
}

/// An operand to read.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    grid: Grid,
    owner: PhantomData<&'a ()>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(view: &View<'a, Cpu>) -> Self {
        Rows { grid: Grid::new(*view.mem(), view.info()), owner: PhantomData }
    }

    /// Elements of a row.
    pub(super) fn len(&self) -> usize {
        self.grid.len
    }

    /// Rows.
    pub(super) fn rows(&self) -> usize {
        self.grid.rows
    }

    /// Bytes of elements `start .. start + count` of a row. Not for operands that an output may share memory with.
    pub(super) fn bytes(&self, row: usize, start: usize, count: usize) -> &'a [u8] {
        let at = self.grid.at(row, start, count);
        // SAFETY: `at` checked that these elements are inside the view, which is valid for 'a.
        unsafe { std::slice::from_raw_parts(at, count * self.grid.dtype.bytes()) }
    }

    /// Loads elements `start .. start + out.len()` of a row.
    pub(super) fn read<R: Real>(&self, row: usize, start: usize, out: &mut [R]) {
        let bytes = self.bytes(row, start, out.len());
        match self.grid.dtype {
            DType::F64 => load(bytes, out, |b| R::of(f64::from_le_bytes(b))),
            DType::F32 => load(bytes, out, |b| R::of_f32(f32::from_le_bytes(b))),
            DType::Bf16 => load(bytes, out, |b| R::of_f32(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
            DType::F16 => load(bytes, out, |b| R::of_f32(f16::from_le_bytes(b).to_f32())),
            DType::F8E4m3 => load(bytes, out, |[b]: [u8; 1]| R::of_f32(e4m3::decode(b))),
            // Not numbers; `bind` lets no such operand get here.
            _ => out.fill(R::nan()),
        }
    }

    /// A whole row.
    pub(super) fn row<R: Real>(&self, row: usize) -> Vec<R> {
        let mut out = vec![R::zero(); self.len()];
        self.read(row, 0, &mut out);
        out
    }

    /// One element of an i32 operand.
    pub(super) fn int(&self, row: usize, i: usize) -> i32 {
        let mut value = [0];
        load(self.bytes(row, i, 1), &mut value, i32::from_le_bytes);
        value[0]
    }

    /// All elements of an i32 operand, row after row.
    pub(super) fn ints(&self) -> Vec<i32> {
        (0..self.rows()).flat_map(|row| (0..self.len()).map(move |i| self.int(row, i))).collect()
    }
}

/// All elements of an i32 operand.
pub(super) fn ints(view: &View<'_, Cpu>) -> Vec<i32> {
    Rows::new(view).ints()
}

/// All elements of an i32 operand that the spec may not ask for.
pub(super) fn optional_ints(view: &Option<View<'_, Cpu>>) -> Vec<i32> {
    view.as_ref().map_or(Vec::new(), ints)
}

fn load<T, const N: usize>(bytes: &[u8], out: &mut [T], convert: impl Fn([u8; N]) -> T) {
    for (value, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *value = convert(*bytes);
    }
}

/// An operand to write.
pub(super) struct RowsMut<'a> {
    grid: Grid,
    owner: PhantomData<&'a mut ()>,
}

impl<'a> RowsMut<'a> {
    pub(super) fn new(view: &'a mut ViewMut<'_, Cpu>) -> Self {
        RowsMut { grid: Grid::new(*view.mem(), view.info()), owner: PhantomData }
    }

    /// `count` elements of a row from `start` on.
    pub(super) fn piece(&mut self, row: usize, start: usize, count: usize) -> Piece<'_> {
        Piece {
            at: CpuMem::new(self.grid.at(row, start, count)),
            dtype: self.grid.dtype,
            len: count,
            owner: PhantomData,
        }
    }

    /// Rows `range`, in parallel.
    pub(super) fn par_rows(&mut self, range: Range<usize>) -> impl IndexedParallelIterator<Item = Piece<'_>> {
        self.par_pieces(range, 1)
    }

    /// Rows `range`, each cut in `parts` equally long pieces, in parallel.
    pub(super) fn par_pieces(
        &mut self,
        range: Range<usize>,
        parts: usize,
    ) -> impl IndexedParallelIterator<Item = Piece<'_>> {
        let (grid, count) = (self.grid, self.grid.len / parts);
        (0..range.len() * parts).into_par_iter().map(move |i| {
            let at = grid.at(range.start + i / parts, i % parts * count, count);
            Piece { at: CpuMem::new(at), dtype: grid.dtype, len: count, owner: PhantomData }
        })
    }
}

/// Contiguous elements that one thread writes.
pub(super) struct Piece<'a> {
    at: CpuMem,
    dtype: DType,
    len: usize,
    owner: PhantomData<&'a mut ()>,
}

impl Piece<'_> {
    /// Stores as many values as there are elements, each rounded once.
    pub(super) fn write<R: Real>(&mut self, values: &[R]) {
        match self.dtype {
            DType::F64 => self.store(values, |v| v.to_f64().to_le_bytes()),
            DType::F32 => self.store(values, |v| (v.to_f64() as f32).to_le_bytes()),
            DType::Bf16 => self.store(values, |v| bf16::from_f32(v.to_odd_f32()).to_le_bytes()),
            DType::F16 => self.store(values, |v| f16::from_f32(v.to_odd_f32()).to_le_bytes()),
            DType::F8E4m3 => self.store(values, |v| [e4m3::encode(v.to_f64())]),
            // Not numbers; `bind` lets no such operand get here.
            _ => {}
        }
    }

    /// Stores zeros.
    pub(super) fn zero(&mut self) {
        // SAFETY: as in `store`.
        unsafe { self.at.as_ptr().write_bytes(0, self.len * self.dtype.bytes()) };
    }

    /// Stores bytes in an operand of them.
    pub(super) fn write_bytes(&mut self, bytes: &[u8]) {
        self.store(bytes, |b| [b]);
    }

    /// Stores indices in an i32 operand.
    pub(super) fn write_ints(&mut self, values: &[i32]) {
        self.store(values, |v| v.to_le_bytes());
    }

    fn store<T: Copy, const N: usize>(&mut self, values: &[T], convert: impl Fn(T) -> [u8; N]) {
        assert!(values.len() == self.len && N == self.dtype.bytes(), "as many values as elements, of their size");
        for (i, value) in values.iter().enumerate() {
            // SAFETY: `Grid::at` checked that `len` elements from here on are inside the view, and no two pieces share
            // one. Written through the pointer and not as a slice: an input may be the same memory.
            unsafe { self.at.as_ptr().add(i * N).cast::<[u8; N]>().write(convert(*value)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_exact_at_any_alignment_and_stores_round_once() {
        // 1 + 2^-8 is half way between two bf16 numbers; 2^-40 more than that rounds up, unless f32 dropped it first.
        let values = [1.0 + 2f64.powi(-8) + 2f64.powi(-40), -0.0, f64::INFINITY, 1e-45];
        for (dtype, want) in [
            (DType::F64, values),
            (DType::F32, [1.00390625, -0.0, f64::INFINITY, f64::from(f32::from_bits(1))]),
            (DType::Bf16, [1.0078125, -0.0, f64::INFINITY, 0.0]),
            (DType::F16, [1.00390625, -0.0, f64::INFINITY, 0.0]),
        ] {
            let mut bytes = vec![0xffu8; 1 + 4 * dtype.bytes()];
            let mut view = Cpu::view_mut(&mut bytes[1..], dtype, &[2, 2]).unwrap();
            let mut rows = RowsMut::new(&mut view);
            rows.piece(0, 0, 2).write(&values[..2]);
            rows.piece(1, 0, 2).write(&values[2..]);
            let view = view.as_view();
            let got: Vec<f64> = (0..2).flat_map(|r| Rows::new(&view).row::<f64>(r)).collect();
            assert_eq!(got.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), want.map(f64::to_bits), "{dtype}");
        }
    }
}
