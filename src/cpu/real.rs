//! What the reference computes in, and its sums of products.

use crate::dtype::{DType, to_odd_f32};
use num_traits::Float;
use std::ops::AddAssign;

/// What the loops compute in: f32, or f64 in the oracle.
pub(super) trait Real: Float + AddAssign + Send + Sync + 'static {
    /// A parameter or an f64 operand (which only the oracle takes), rounded to this type.
    fn of(x: f64) -> Self;
    /// An operand of f32 or less, exact.
    fn of_f32(x: f32) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// Such that rounding the result to bf16 or f16 is the only rounding.
    fn to_odd_f32(self) -> f32;
}

impl Real for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }

    fn of_f32(x: f32) -> f32 {
        x
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    fn to_odd_f32(self) -> f32 {
        self
    }
}

impl Real for f64 {
    fn of(x: f64) -> f64 {
        x
    }

    fn of_f32(x: f32) -> f64 {
        x.into()
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn to_odd_f32(self) -> f32 {
        to_odd_f32(self)
    }
}

/// `x` as it would be after a store in `dtype` and a load.
pub(super) fn rounded<R: Real>(dtype: DType, x: R) -> R {
    R::of(dtype.round(x.to_f64()))
}

/// Partial sums of [`dot`].
const PARTIAL: usize = 32;

/// `Σ a_i b_i` of two equally long slices. Element i goes to partial sum i mod 32, each from the front; the partial sums are
/// then added pairwise, halves first (j with j + 16, j + 8, ...). A fixed order, which compilers can vectorise.
pub(super) fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    let mut sums = [R::zero(); PARTIAL];
    let (a_whole, a_rest) = a.as_chunks::<PARTIAL>();
    let (b_whole, b_rest) = b.as_chunks::<PARTIAL>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for j in 0..PARTIAL {
            sums[j] += a[j] * b[j];
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += *a * *b;
    }
    let mut half = PARTIAL / 2;
    while half > 0 {
        for j in 0..half {
            let other = sums[j + half];
            sums[j] += other;
        }
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_adds_every_product_once() {
        for n in [0usize, 1, 31, 32, 33, 100] {
            let a: Vec<f64> = (0..n).map(|i| i as f64).collect();
            assert_eq!(dot(&a, &a), (0..n).map(|i| (i * i) as f64).sum::<f64>());
        }
    }
}
