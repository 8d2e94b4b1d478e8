//! How far results are from the reference's, and how far they may be.

use crate::dtype::DType;

/// `‖got - want‖ / ‖want‖`; NaN where a result is NaN, or the lengths differ.
pub(super) fn relative_error(got: &[f64], want: &[f64]) -> f64 {
    if got.len() != want.len() {
        return f64::NAN;
    }
    let off: f64 = got.iter().zip(want).map(|(g, w)| (g - w).powi(2)).sum();
    let all: f64 = want.iter().map(|w| w * w).sum();
    if off == 0.0 { 0.0 } else { (off / all).sqrt() }
}

/// What the error may be where results are rounded to `dtype` so many times in series: a rounding errs by at most the unit
/// roundoff, relatively, and typically by half of that; twice the typical error, and as much again for f32 sums.
pub(super) fn allowed(dtype: DType, roundings: f64) -> f64 {
    2.0 * roundings * dtype.unit_roundoff()
}

/// Up to `most` of `0..n`, evenly spread, the first and the last among them.
pub(super) fn sample(n: usize, most: usize) -> Vec<usize> {
    let count = n.min(most);
    (0..count).map(|i| i * (n - 1) / (count - 1).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_and_nan_shows() {
        assert_eq!(relative_error(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(relative_error(&[3.0, 4.5], &[3.0, 4.0]), 0.1);
        assert!(relative_error(&[f64::NAN, 4.0], &[3.0, 4.0]).is_nan());
        assert!(relative_error(&[3.0], &[3.0, 4.0]).is_nan());
        assert!(relative_error(&[1.0], &[0.0]).is_infinite());
    }

    #[test]
    fn samples_reach_both_ends() {
        assert_eq!(sample(1, 4), [0]);
        assert_eq!(sample(3, 4), [0, 1, 2]);
        assert_eq!(sample(100, 4), [0, 33, 66, 99]);
        assert!(sample(0, 4).is_empty());
    }
}
