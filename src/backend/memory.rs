//! Owned tensors on any backend with a [`Runtime`].

use super::{Fetch, HostBytes, Replay, Runtime};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::tensor::{Shape, View, ViewMut};

/// A tensor in memory of its own.
pub struct Tensor<B: Runtime> {
    buffer: B::Buffer,
    mem: B::Mem,
    dtype: DType,
    shape: Shape,
}

impl<B: Runtime> Tensor<B> {
    /// A tensor of unspecified content.
    ///
    /// # Errors
    /// As [`Runtime::alloc`].
    pub fn empty(backend: &B, dtype: DType, shape: &[usize]) -> Result<Self, Error> {
        let shape = Shape::new(shape);
        let bytes = tensor_bytes(dtype, shape)?;
        let buffer = backend.alloc(bytes)?;
        Ok(Tensor { mem: backend.mem(&buffer), buffer, dtype, shape })
    }

    /// A tensor with the given bytes (little endian, row-major).
    ///
    /// # Errors
    /// [`Error::Input`] where the size does not match, else as [`Runtime::alloc`].
    pub fn from_bytes(backend: &B, dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self, Error> {
        let mut tensor = Self::empty(backend, dtype, shape)?;
        check_bytes(dtype, tensor.shape, bytes.len())?;
        backend.write(&mut tensor.buffer, 0, bytes)?;
        Ok(tensor)
    }

    /// Overwrites the whole content.
    ///
    /// # Errors
    /// [`Error::Input`] where the size does not match, else as [`Runtime::write`].
    pub fn write(&mut self, backend: &B, bytes: &[u8]) -> Result<(), Error> {
        check_bytes(self.dtype, self.shape, bytes.len())?;
        backend.write(&mut self.buffer, 0, bytes)
    }

    /// The whole content, after all submitted work.
    ///
    /// # Errors
    /// As [`Runtime::read`].
    pub fn read(&self, backend: &B) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; self.shape.len() * self.dtype.bytes()];
        backend.read(&self.buffer, 0, &mut out)?;
        Ok(out)
    }

    /// The first elements as a window of another shape: one buffer serves every row count up to its own.
    ///
    /// # Errors
    /// [`Error::Input`] where the tensor has fewer elements.
    pub fn prefix(&self, shape: &[usize]) -> Result<View<'_, B>, Error> {
        self.check_prefix(shape)?;
        // SAFETY: as in `view`, and no element more than the tensor has.
        Ok(unsafe { View::from_raw(self.mem.clone(), self.dtype, shape) })
    }

    /// As [`Tensor::prefix`], to write.
    ///
    /// # Errors
    /// As [`Tensor::prefix`].
    pub fn prefix_mut(&mut self, shape: &[usize]) -> Result<ViewMut<'_, B>, Error> {
        self.check_prefix(shape)?;
        // SAFETY: as in `prefix`; the exclusive borrow keeps other windows away.
        Ok(unsafe { ViewMut::from_raw(self.mem.clone(), self.dtype, shape) })
    }

    /// Overwrites the first elements.
    ///
    /// # Errors
    /// As [`Runtime::write`].
    pub fn write_prefix(&mut self, backend: &B, bytes: &[u8]) -> Result<(), Error> {
        backend.write(&mut self.buffer, 0, bytes)
    }

    /// The first elements, as many as `shape` has, after all submitted work.
    ///
    /// # Errors
    /// As [`Tensor::prefix`] and [`Runtime::read`].
    pub fn read_prefix(&self, backend: &B, shape: &[usize]) -> Result<HostTensor, Error> {
        let mut out = vec![0; self.check_prefix(shape)? * self.dtype.bytes()];
        backend.read(&self.buffer, 0, &mut out)?;
        HostTensor::new(self.dtype, shape, out.into())
    }

    /// The bytes of the first elements, as everything submitted so far leaves them.
    ///
    /// # Errors
    /// As [`Tensor::prefix`] and [`Replay::fetch`].
    pub fn fetch_prefix(&self, backend: &B, shape: &[usize]) -> Result<Fetch, Error>
    where
        B: Replay,
    {
        backend.fetch(&self.buffer, 0, self.check_prefix(shape)? * self.dtype.bytes())
    }

    fn check_prefix(&self, shape: &[usize]) -> Result<usize, Error> {
        let need = Shape::new(shape).checked_len();
        need.filter(|n| *n <= self.shape.len()).ok_or_else(|| {
            Error::input(format!("tensor {} {:?}", self.dtype, self.shape), format!("has no {shape:?} elements"))
        })
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A window to read.
    pub fn view(&self) -> View<'_, B> {
        // SAFETY: the buffer was allocated for this type and shape and lives as long as the borrow.
        unsafe { View::from_raw(self.mem.clone(), self.dtype, self.shape.dims()) }
    }

    /// A window to write.
    pub fn view_mut(&mut self) -> ViewMut<'_, B> {
        // SAFETY: as in `view`; the exclusive borrow keeps other windows away.
        unsafe { ViewMut::from_raw(self.mem.clone(), self.dtype, self.shape.dims()) }
    }
}

/// A tensor that is only ever read: weights, tables. On backends that share the host's memory it is not copied.
pub struct Constant<B: Runtime> {
    _buffer: B::Buffer,
    mem: B::Mem,
    dtype: DType,
    shape: Shape,
}

impl<B: Runtime> Constant<B> {
    /// A constant with the given bytes (little endian, row-major).
    ///
    /// # Errors
    /// [`Error::Input`] where the size does not match, else as [`Runtime::import`].
    pub fn import(backend: &B, dtype: DType, shape: &[usize], bytes: &HostBytes) -> Result<Self, Error> {
        let shape = Shape::new(shape);
        check_bytes(dtype, shape, bytes.as_slice().len())?;
        let buffer = backend.import(bytes)?;
        Ok(Constant { mem: backend.mem(&buffer), _buffer: buffer, dtype, shape })
    }

    /// A constant whose bytes are those of all pieces, one after the other. One piece is imported, several are copied.
    ///
    /// # Errors
    /// As [`Constant::import`].
    pub fn of_pieces(backend: &B, dtype: DType, shape: &[usize], pieces: &[HostBytes]) -> Result<Self, Error> {
        if let [one] = pieces {
            return Self::import(backend, dtype, shape, one);
        }
        let shape = Shape::new(shape);
        let bytes = pieces.iter().fold(0usize, |n, piece| n.saturating_add(piece.as_slice().len()));
        check_bytes(dtype, shape, bytes)?;
        let (mut buffer, mut at) = (backend.alloc(bytes)?, 0);
        for piece in pieces {
            backend.write(&mut buffer, at, piece.as_slice())?;
            at += piece.as_slice().len();
        }
        Ok(Constant { mem: backend.mem(&buffer), _buffer: buffer, dtype, shape })
    }

    /// A window to read.
    pub fn view(&self) -> View<'_, B> {
        // SAFETY: the buffer holds this type and shape (checked in `import`) and lives as long as the borrow.
        unsafe { View::from_raw(self.mem.clone(), self.dtype, self.shape.dims()) }
    }
}

/// What was computed once.
impl<B: Runtime> From<Tensor<B>> for Constant<B> {
    fn from(Tensor { buffer, mem, dtype, shape }: Tensor<B>) -> Self {
        Constant { _buffer: buffer, mem, dtype, shape }
    }
}

fn tensor_bytes(dtype: DType, shape: Shape) -> Result<usize, Error> {
    shape
        .checked_len()
        .and_then(|n| n.checked_mul(dtype.bytes()))
        .ok_or_else(|| Error::input(format!("tensor {dtype} {shape:?}"), "its size in bytes overflows"))
}

fn check_bytes(dtype: DType, shape: Shape, got: usize) -> Result<(), Error> {
    let want = tensor_bytes(dtype, shape)?;
    if want == got {
        return Ok(());
    }
    Err(Error::input(format!("tensor {dtype} {shape:?}"), format!("needs {want} bytes, got {got}")))
}
