//! Quantisation to MXFP4.

use super::{BLOCK, E2M1};
use crate::error::Error;
use crate::mutation::{Rule, wrong};

/// How a block's scale follows from its largest magnitude `amax`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScaleRule {
    /// 2^(floor(log2 amax) - 2), elements saturate at 6: the OCP rule.
    Ocp,
    /// Smallest power of two not below amax / 6 (the division rounded to f32): nothing saturates. What Triton's and HF's
    /// quantisers do.
    RoundUp,
}

/// Codes and scales in the [`OpenAi`](super::OpenAi) layout.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Encoded {
    /// 16 bytes a block.
    pub blocks: Vec<u8>,
    /// One byte a block.
    pub scales: Vec<u8>,
}

/// Quantises `values`, block by block of 32: elements to the nearest code, ties to the even one, the sign kept also where
/// the result is zero. A block of zeros has scale byte 0.
///
/// # Errors
/// A length that is no multiple of 32; a value that is not finite, named by its index.
pub fn encode(values: &[f32], rule: ScaleRule) -> Result<Encoded, Error> {
    let what = "values to quantise to MXFP4";
    if !values.len().is_multiple_of(BLOCK) {
        return Err(Error::input(what, format!("their number must be a multiple of {BLOCK}, got {}", values.len())));
    }
    if let Some(i) = values.iter().position(|v| !v.is_finite()) {
        return Err(Error::input(what, format!("value {i} is {}, only finite ones have a code", values[i])));
    }
    let mut out = Encoded::default();
    for block in values.chunks_exact(BLOCK) {
        let exponent = block_exponent(block, rule);
        let codes: Vec<u8> = block.iter().map(|v| encode_element(*v, exponent)).collect();
        out.scales.push((exponent + 127) as u8);
        out.blocks.extend(super::layout::pack_openai(&codes));
    }
    Ok(out)
}

fn block_exponent(block: &[f32], rule: ScaleRule) -> i32 {
    let amax = block.iter().fold(0f32, |m, v| m.max(v.abs()));
    if amax == 0.0 {
        return -127;
    }
    let ocp = (rule == ScaleRule::Ocp) != wrong(Rule::QuantOtherRule);
    let exponent = if ocp { floor_log2(amax) - 2 } else { ceil_log2(amax / 6.0) };
    exponent.clamp(-127, 127)
}

/// f32 to f64 is exact and makes every f32 normal: the exponent field is the answer.
fn floor_log2(x: f32) -> i32 {
    ((f64::from(x).to_bits() >> 52) as i32) - 1023
}

fn ceil_log2(x: f32) -> i32 {
    if x == 0.0 {
        return -127;
    }
    let power_of_two = f64::from(x).to_bits() & ((1 << 52) - 1) == 0;
    floor_log2(x) + i32::from(!power_of_two)
}

fn encode_element(value: f32, exponent: i32) -> u8 {
    // Multiplying by a power of two is exact in f64 for every f32.
    let magnitude = f64::from(value).abs() * 2f64.powi(-exponent);
    let even_first: [u8; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
    let odd_last: [u8; 8] = [7, 6, 5, 4, 3, 2, 1, 0];
    let order = if wrong(Rule::QuantTiesAway) { odd_last } else { even_first };
    let distance = |code: u8| (magnitude - f64::from(E2M1[usize::from(code)])).abs();
    let mut code = order[0];
    for candidate in order {
        if distance(candidate) < distance(code) {
            code = candidate;
        }
    }
    if wrong(Rule::QuantNoSaturation) && magnitude > 7.0 {
        code = 0;
    }
    let drop_sign = code == 0 && wrong(Rule::QuantDropsNegativeZero);
    code | (u8::from(value.is_sign_negative() && !drop_sign) << 3)
}
