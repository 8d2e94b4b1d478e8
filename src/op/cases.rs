//! What each op contributes to its own tests: specs that together use every option, and how far accumulation may be off.

use super::Op;

/// What the operands of a case should be like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Data {
    /// Magnitudes over a few powers of ten, ragged lengths, some empty.
    Usual,
    /// As large, small and unequal as the types allow.
    Extreme,
    /// Indices, lengths and offsets that only the device can find to be wrong.
    Faulty,
    /// Usual ones, but rows of a grouped GEMM are of four experts alone, and half of them of one.
    Skewed,
}

/// A spec to test.
#[derive(Clone, Debug)]
pub struct Case<O> {
    /// Unique within the op.
    pub name: String,
    /// The spec.
    pub op: O,
    /// What its operands should be like.
    pub data: Data,
}

impl<O> Case<O> {
    /// With [`Data::Usual`].
    pub fn usual(name: impl Into<String>, op: O) -> Self {
        Case { name: name.into(), op, data: Data::Usual }
    }

    /// The same spec on other data.
    pub fn on(self, data: Data) -> Self {
        Case { data, ..self }
    }
}

/// An op that brings its own test cases.
pub trait Cases: Op {
    /// Specs that together use every option, in small shapes.
    fn cases() -> Vec<Case<Self>>;
    /// Units of f32 roundoff, relative to the sum of absolute values, that accumulating one output element may be off by.
    fn accumulation(&self) -> f64;
}

/// Units of roundoff that a sum of `terms` products may be off by, relative to the sum of their absolute values.
///
/// A sum in any order rounds each term at most once a level, and there are no more levels than terms: `terms - 1` roundings
/// and one for each product. Tensor cores truncate instead of rounding to nearest, which doubles a step's error.
pub(super) fn sum_of_products(terms: usize) -> f64 {
    2.0 * (terms as f64 + 1.0)
}
