//! Typed, shaped windows on memory that the caller owns.

use crate::backend::Backend;
use crate::dtype::DType;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// Most dimensions a tensor can have (vLLM's x-split key cache has five).
pub const MAX_RANK: usize = 5;

/// Dimensions of a tensor, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// A shape from at most [`MAX_RANK`] dimensions; further ones are folded into the last.
    pub fn new(dims: &[usize]) -> Self {
        let mut out = [1; MAX_RANK];
        for (i, d) in dims.iter().enumerate() {
            if i < MAX_RANK {
                out[i] = *d;
            } else {
                out[MAX_RANK - 1] = out[MAX_RANK - 1].saturating_mul(*d);
            }
        }
        Shape { dims: out, rank: dims.len().min(MAX_RANK) as u8 }
    }

    /// The dimensions.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }

    /// Number of elements, `None` where it overflows.
    pub fn checked_len(&self) -> Option<usize> {
        self.dims().iter().try_fold(1usize, |n, d| n.checked_mul(*d))
    }

    /// Number of elements; saturates where it overflows (specs that overflow are refused by [`Op::check`](crate::op::Op::check)).
    pub fn len(&self) -> usize {
        self.checked_len().unwrap_or(usize::MAX)
    }

    /// True if some dimension is zero.
    pub fn is_empty(&self) -> bool {
        self.dims().contains(&0)
    }

    /// Elements of one index of the first dimension.
    pub fn row_len(&self) -> usize {
        self.dims().iter().skip(1).fold(1usize, |n, d| n.saturating_mul(*d))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

/// What a view says of itself: all that validation looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ViewInfo {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// Elements from one index of the first dimension to the next.
    pub row_stride: usize,
}

/// A borrowed, read-only window. Never allocates, never frees. The dimensions after the first are contiguous; the first
/// may be strided ([`View::with_row_stride`]), so that `q` can be a slice of a fused `qkv`.
pub struct View<'a, B: Backend> {
    mem: B::Mem,
    info: ViewInfo,
    owner: PhantomData<&'a ()>,
}

/// A borrowed window that an op writes.
pub struct ViewMut<'a, B: Backend> {
    mem: B::Mem,
    info: ViewInfo,
    owner: PhantomData<&'a mut ()>,
}

impl<B: Backend> Clone for View<'_, B> {
    fn clone(&self) -> Self {
        View { mem: self.mem.clone(), info: self.info, owner: PhantomData }
    }
}

impl<'a, B: Backend> View<'a, B> {
    /// A contiguous window.
    ///
    /// # Safety
    /// `mem` holds at least `shape` elements of `dtype`, aligned for the backend, and stays valid for `'a`.
    pub unsafe fn from_raw(mem: B::Mem, dtype: DType, shape: &[usize]) -> Self {
        let shape = Shape::new(shape);
        View { mem, info: ViewInfo { dtype, shape, row_stride: shape.row_len() }, owner: PhantomData }
    }

    /// The same window with `stride` elements from one index of the first dimension to the next.
    ///
    /// # Safety
    /// The memory holds all `dims[0]` rows at that stride.
    pub unsafe fn with_row_stride(mut self, stride: usize) -> Self {
        self.info.row_stride = stride;
        self
    }

    /// Handle of the first element.
    pub fn mem(&self) -> &B::Mem {
        &self.mem
    }

    /// Type, shape and stride.
    pub fn info(&self) -> ViewInfo {
        self.info
    }

    /// Rows `range` of the first dimension; `None` where they are not all there.
    pub fn rows(&self, range: Range<usize>) -> Option<View<'a, B>> {
        let (mem, info) = slice_rows::<B>(&self.mem, self.info, range)?;
        Some(View { mem, info, owner: PhantomData })
    }

    /// Elements of each row from `first` on, as many as `dims` has and seen so: heads of a fused projection. `None` where a
    /// row has fewer.
    pub fn columns(&self, first: usize, dims: &[usize]) -> Option<View<'a, B>> {
        let (rows, info) = (*self.info.shape.dims().first()?, self.info);
        let all: Vec<usize> = std::iter::once(rows).chain(dims.iter().copied()).collect();
        let shape = Shape::new(&all);
        let end = shape.checked_len()?.checked_div(rows).unwrap_or(0).checked_add(first)?;
        if end > info.shape.row_len() {
            return None;
        }
        let mem = B::offset(&self.mem, first * info.dtype.bytes());
        Some(View { mem, info: ViewInfo { shape, ..info }, owner: PhantomData })
    }
}

impl<'a, B: Backend> ViewMut<'a, B> {
    /// A contiguous window.
    ///
    /// # Safety
    /// As [`View::from_raw`], and nothing else touches the memory for `'a`.
    pub unsafe fn from_raw(mem: B::Mem, dtype: DType, shape: &[usize]) -> Self {
        let shape = Shape::new(shape);
        ViewMut { mem, info: ViewInfo { dtype, shape, row_stride: shape.row_len() }, owner: PhantomData }
    }

    /// As [`View::with_row_stride`].
    ///
    /// # Safety
    /// The memory holds all `dims[0]` rows at that stride.
    pub unsafe fn with_row_stride(mut self, stride: usize) -> Self {
        self.info.row_stride = stride;
        self
    }

    /// Handle of the first element.
    pub fn mem(&self) -> &B::Mem {
        &self.mem
    }

    /// Type, shape and stride.
    pub fn info(&self) -> ViewInfo {
        self.info
    }

    /// A shorter-lived window on the same memory.
    pub fn reborrow(&mut self) -> ViewMut<'_, B> {
        ViewMut { mem: self.mem.clone(), info: self.info, owner: PhantomData }
    }

    /// The same memory, to read.
    pub fn as_view(&self) -> View<'_, B> {
        View { mem: self.mem.clone(), info: self.info, owner: PhantomData }
    }

    /// Rows `range` of the first dimension; `None` where they are not all there.
    pub fn rows(&mut self, range: Range<usize>) -> Option<ViewMut<'_, B>> {
        let (mem, info) = slice_rows::<B>(&self.mem, self.info, range)?;
        Some(ViewMut { mem, info, owner: PhantomData })
    }
}

fn slice_rows<B: Backend>(mem: &B::Mem, info: ViewInfo, range: Range<usize>) -> Option<(B::Mem, ViewInfo)> {
    let dims = info.shape.dims();
    if dims.is_empty() || range.start > range.end || range.end > dims[0] {
        return None;
    }
    let mut shape = info.shape;
    shape.dims[0] = range.end - range.start;
    let bytes = range.start * info.row_stride * info.dtype.bytes();
    Some((B::offset(mem, bytes), ViewInfo { shape, ..info }))
}
