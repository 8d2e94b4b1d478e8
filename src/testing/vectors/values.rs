//! Numbers to compare: from tensors and from JSON.

use super::case::{Stop, fail};
use crate::dtype::DType;
use crate::host::HostTensor;
use serde_json::Value;

/// Numbers, their shape and type.
#[derive(Clone)]
pub(super) struct Values {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f64>,
    /// Absent for numbers that come from JSON.
    pub(super) dtype: Option<DType>,
}

impl Values {
    pub(super) fn of(tensor: &HostTensor) -> Self {
        Values { shape: tensor.shape.clone(), data: tensor.to_f64(), dtype: Some(tensor.dtype) }
    }

    /// Numbers in lists of equal length, however deep.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let Some(list) = value.as_array() else {
            return Some(Values { shape: Vec::new(), data: vec![value.as_f64()?], dtype: None });
        };
        let parts: Vec<Values> = list.iter().map(Values::from_json).collect::<Option<_>>()?;
        let inner = parts.first().map(|p| p.shape.clone()).unwrap_or_default();
        if parts.iter().any(|p| p.shape != inner) {
            return None;
        }
        let shape = std::iter::once(list.len()).chain(inner).collect();
        Some(Values { shape, data: parts.into_iter().flat_map(|p| p.data).collect(), dtype: None })
    }

    /// Rows of the first axis by index.
    pub(super) fn rows(&self, indices: &[i32]) -> Result<Values, Stop> {
        let width = product(self.shape.iter().skip(1));
        let mut out = Values { shape: self.shape.clone(), data: Vec::new(), dtype: self.dtype };
        if let Some(rows) = out.shape.first_mut() {
            *rows = indices.len();
        }
        for index in indices {
            let start = usize::try_from(*index).ok().and_then(|i| i.checked_mul(width));
            let row = start.and_then(|at| self.data.get(at..at.checked_add(width)?));
            let Some(row) = row else { return fail(format!("`rows` names row {index} of {:?}", self.shape)) };
            out.data.extend_from_slice(row);
        }
        Ok(out)
    }
}

/// Elements of these dimensions; saturates, because a file may name any beside one of 0.
pub(super) fn product<'a>(dims: impl Iterator<Item = &'a usize>) -> usize {
    dims.fold(1, |n, d| n.saturating_mul(*d))
}
