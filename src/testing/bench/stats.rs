//! Order statistics of times.

/// The `part` quantile (0 to 1), between the two nearest values where it falls between them; NaN of nothing.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = part.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_fall_on_and_between_values() {
        let values = [4.0, 1.0, 3.0, 2.0, 5.0];
        assert_eq!([0.0, 0.2, 0.5, 0.8, 1.0].map(|p| quantile(&values, p)), [1.0, 1.8, 3.0, 4.2, 5.0]);
        assert_eq!(median(&[1.0, 2.0]), 1.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }
}
