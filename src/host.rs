//! Tensors on the host: what files hold and tests compare.

use crate::dtype::{DType, e4m3, to_odd_f32};
use crate::error::Error;
use std::ops::Range;
use std::sync::Arc;

/// Bytes on the host that may outlive the call without being copied: a memory-mapped checkpoint, a shared buffer.
#[derive(Clone)]
pub struct HostBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl HostBytes {
    /// Bytes `range` of `owner`; `None` where it has fewer.
    pub fn new(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Option<Self> {
        (*owner).as_ref().get(range.clone())?;
        Some(HostBytes { owner, range })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }

    /// Bytes `range` of these; `None` where there are fewer.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        self.as_slice().get(range.clone())?;
        let start = self.range.start;
        Some(HostBytes { owner: self.owner.clone(), range: start + range.start..start + range.end })
    }
}

impl From<Vec<u8>> for HostBytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        HostBytes { owner: Arc::new(bytes), range }
    }
}

/// A tensor in host memory, little endian, row-major, contiguous.
#[derive(Clone)]
pub struct HostTensor {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, any number of them.
    pub shape: Vec<usize>,
    /// The elements; exactly as many bytes as type and shape need.
    pub bytes: HostBytes,
}

impl HostTensor {
    /// A tensor of the given bytes.
    ///
    /// # Errors
    /// [`Error::Input`] where their number is not that of type and shape.
    pub fn new(dtype: DType, shape: &[usize], bytes: HostBytes) -> Result<Self, Error> {
        let need = shape.iter().try_fold(dtype.bytes(), |n, d| n.checked_mul(*d));
        let got = bytes.as_slice().len();
        if need != Some(got) {
            let need = need.map_or("more than can be addressed".into(), |n| format!("{n} bytes"));
            return Err(Error::input(format!("tensor {dtype} {shape:?}"), format!("needs {need}, got {got}")));
        }
        Ok(HostTensor { dtype, shape: shape.to_vec(), bytes })
    }

    /// A floating-point tensor of the given values, each rounded once to `dtype`.
    ///
    /// # Errors
    /// [`Error::Input`] where their number is not that of the shape, or the type is not a floating-point one.
    pub fn from_f64(dtype: DType, shape: &[usize], values: &[f64]) -> Result<Self, Error> {
        let bytes: Vec<u8> = match dtype {
            DType::F64 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            DType::F32 => values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
            DType::Bf16 => values.iter().flat_map(|v| half::bf16::from_f32(to_odd_f32(*v)).to_le_bytes()).collect(),
            DType::F16 => values.iter().flat_map(|v| half::f16::from_f32(to_odd_f32(*v)).to_le_bytes()).collect(),
            DType::F8E4m3 => values.iter().map(|v| e4m3::encode(*v)).collect(),
            other => return Err(Error::input(format!("tensor {other} {shape:?}"), "is not floating point")),
        };
        Self::new(dtype, shape, bytes.into())
    }

    /// An i32 tensor.
    ///
    /// # Errors
    /// [`Error::Input`] where their number is not that of the shape.
    pub fn from_i32(shape: &[usize], values: &[i32]) -> Result<Self, Error> {
        Self::new(DType::I32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into())
    }

    /// Elements in all.
    pub fn len(&self) -> usize {
        self.bytes.as_slice().len() / self.dtype.bytes()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every element as f64, exact for every type but none of the packed ones (whose bytes are given).
    pub fn to_f64(&self) -> Vec<f64> {
        let bytes = self.bytes.as_slice();
        fn le<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
        }
        match self.dtype {
            DType::F64 => le(bytes, f64::from_le_bytes),
            DType::F32 => le(bytes, |b| f32::from_le_bytes(b).into()),
            DType::Bf16 => le(bytes, |b| half::bf16::from_le_bytes(b).into()),
            DType::F16 => le(bytes, |b| half::f16::from_le_bytes(b).into()),
            DType::F8E4m3 => bytes.iter().map(|b| e4m3::decode(*b).into()).collect(),
            DType::I32 => le(bytes, |b| i32::from_le_bytes(b).into()),
            DType::U32 => le(bytes, |b| u32::from_le_bytes(b).into()),
            DType::U8 | DType::E2m1x2 | DType::E8m0 => bytes.iter().map(|b| f64::from(*b)).collect(),
        }
    }

    /// The elements of an i32 tensor; `None` for another type.
    pub fn to_i32(&self) -> Option<Vec<i32>> {
        let chunks = self.bytes.as_slice().as_chunks::<4>().0;
        (self.dtype == DType::I32).then(|| chunks.iter().map(|c| i32::from_le_bytes(*c)).collect())
    }
}
