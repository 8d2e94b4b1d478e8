//! Sums as tensor cores make them, for the twin.
//!
//! A matrix instruction adds a few products to its accumulator at once: it aligns all to the largest, cuts off what lies
//! below the last place it keeps, adds exactly and cuts the sum off too. Every cut goes towards zero, so that the errors of a
//! long sum do not cancel as those of rounding do: after k products they grow as k, not as its square root.
//!
//! Generations differ in how many products they take at once and how many bits they keep below those of f32. The twin takes
//! eight and one, as compute capability 8.0 does. Sixteen and two give the error that was measured on an H200, to half a percent;
//! 7.5 takes four. Both are within a factor of two of the twin's error.

use super::real::Real;

/// Products that are added at once.
const TOGETHER: usize = 8;
/// Bits of a number behind its first one, f32's and one more.
const KEPT: u64 = 24;
/// Exponent bits of 2^-149, the smallest f32: nothing is cut finer.
const FINEST: u64 = 1023 - 149;

/// `Σ a_i b_i` of two equally long slices, in f32; products of two 16-bit numbers are exact.
pub(super) fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    let mut sum = 0f32;
    for (a, b) in a.chunks(TOGETHER).zip(b.chunks(TOGETHER)) {
        let mut terms = [0f64; TOGETHER + 1];
        terms[TOGETHER] = f64::from(sum);
        for (term, (&a, &b)) in terms.iter_mut().zip(a.iter().zip(b)) {
            *term = a.to_f64() * b.to_f64();
        }
        sum = add(&terms);
    }
    R::of_f32(sum)
}

fn add(terms: &[f64]) -> f32 {
    let exponent = terms.iter().map(|t| t.to_bits() >> 52 & 0x7ff).max().unwrap_or(0);
    if exponent == 0x7ff {
        // Infinite or NaN.
        return terms.iter().sum::<f64>() as f32;
    }
    let last_place = f64::from_bits(exponent.saturating_sub(KEPT).max(FINEST) << 52);
    cut(terms.iter().map(|t| (t / last_place).trunc()).sum::<f64>() * last_place)
}

/// The next f32 towards zero.
fn cut(x: f64) -> f32 {
    let nearest = x as f32;
    match nearest.is_finite() && f64::from(nearest).abs() > x.abs() {
        true => f32::from_bits(nearest.to_bits() - 1),
        false => nearest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_integers_are_exact() {
        for n in [0usize, 1, 7, 8, 9, 100] {
            let a: Vec<f32> = (0..n).map(|i| i as f32 - 3.0).collect();
            assert_eq!(dot(&a, &a), a.iter().map(|x| x * x).sum::<f32>());
        }
    }

    #[test]
    fn sums_are_cut_towards_zero() {
        let ulp = f32::EPSILON;
        // Rounding to nearest would give 1 + ulp and its negative.
        assert_eq!(dot(&[1.0, 0.75 * ulp], &[1.0, 1.0]), 1.0);
        assert_eq!(dot(&[-1.0, 0.75 * ulp], &[1.0, -1.0]), -1.0);
        // One bit more is kept while a step adds up, and not behind it.
        assert_eq!(dot(&[1.0, 0.5 * ulp, 0.5 * ulp], &[1.0; 3]), 1.0 + ulp);
        assert_eq!(dot(&[1.0, 0.25 * ulp, 0.25 * ulp, 0.5 * ulp], &[1.0; 4]), 1.0);
        let mut steps = [0.0f32; 2 * TOGETHER];
        (steps[0], steps[1], steps[TOGETHER]) = (1.0, 0.5 * ulp, 0.5 * ulp);
        assert_eq!(dot(&steps, &[1.0; 2 * TOGETHER]), 1.0);
    }

    #[test]
    fn ends_of_the_range() {
        let least = f32::from_bits(1);
        assert_eq!(dot(&[least, least], &[1.0, 2.0]), 3.0 * least);
        assert_eq!(dot(&[f32::INFINITY, 1.0], &[1.0, 1.0]), f32::INFINITY);
        assert!(dot(&[f32::INFINITY, f32::INFINITY], &[1.0, -1.0]).is_nan());
        assert_eq!(dot(&[f32::MAX, f32::MAX], &[1.0, 1.0]), f32::INFINITY);
    }
}
