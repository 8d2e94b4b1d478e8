//! e4m3 as OCP has it (the "FN" of other libraries): a sign, four bits of exponent with bias 7, three of mantissa; no
//! infinities, NaN where all seven bits are set, 448 the largest number and 2^-9 the smallest.

pub(crate) const LARGEST: f64 = 448.0;
const NAN: u8 = 0x7f;
/// Exponent of the smallest normal number.
const LEAST: i32 = -6;

/// To nearest, ties to even; what is larger than the largest number becomes it.
pub(crate) fn encode(x: f64) -> u8 {
    if x.is_nan() {
        return NAN;
    }
    let magnitude = x.abs().min(LARGEST);
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(LEAST);
    // Eight steps a power of two; a step too many is the next power's first.
    let steps = (magnitude * f64::from(3 - exponent).exp2()).round_ties_even() as i32;
    u8::from(x.is_sign_negative()) << 7 | (8 * (exponent - LEAST) + steps) as u8
}

/// Exact.
pub(crate) fn decode(code: u8) -> f32 {
    let (exponent, mantissa) = (code >> 3 & 15, f32::from(code & 7));
    let magnitude = match (code & NAN, exponent) {
        (NAN, _) => f32::NAN,
        (_, 0) => mantissa * (LEAST as f32 - 3.0).exp2(),
        _ => (8.0 + mantissa) * (f32::from(exponent) - 10.0).exp2(),
    };
    if code >> 7 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_what_its_number_becomes() {
        for code in 0..=255u8 {
            let value = f64::from(decode(code));
            assert!(value.is_nan() == (code & NAN == NAN) && (value.is_nan() || encode(value) == code), "{code:#x}");
        }
        assert_eq!([0x00, 0x01, 0x08, 0x38, 0x7e].map(decode), [0.0, 0.001953125, 0.015625, 1.0, 448.0]);
    }

    #[test]
    fn between_codes_the_nearer_one_is_taken_and_the_even_one_half_way() {
        for code in 0..0x7eu8 {
            let (low, high) = (f64::from(decode(code)), f64::from(decode(code + 1)));
            let (half_way, tiny) = ((low + high) / 2.0, (high - low) / 1e6);
            assert_eq!(encode(half_way), code + code % 2);
            assert_eq!([encode(half_way - tiny), encode(-half_way - tiny)], [code, 0x81 + code]);
        }
        assert_eq!([450.0, 1e300, f64::NEG_INFINITY, 1e-300, -0.0].map(encode), [0x7e, 0x7e, 0xfe, 0x00, 0x80]);
    }
}
