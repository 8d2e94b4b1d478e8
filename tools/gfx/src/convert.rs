//! Between number formats.

use crate::float::finish;
use crate::instruction::{Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::Wave;

/// f16 to f32, exactly.
pub fn f16_to_f32(bits: u16) -> f32 {
    let (sign, exponent, mantissa) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        0 => f32::from_bits((mantissa as f32 * 2f32.powi(-24)).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | mantissa << 13),
    }
}

/// f32 to f16, ties to even.
pub fn f32_to_f16(x: f32) -> u16 {
    let sign = (x.to_bits() >> 16 & 0x8000) as u16;
    let magnitude = x.abs();
    if magnitude.is_nan() {
        return sign | 0x7e00;
    }
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    if magnitude < 2f32.powi(-14) {
        return sign | (magnitude * 2f32.powi(24)).round_ties_even() as u16;
    }
    let bits = magnitude.to_bits();
    sign | (((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112 << 10)) as u16
}

/// f32 to bf16, ties to even.
pub fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[inline(always)]
fn one(w: &mut Wave, i: &Instruction, f: impl Fn(u32) -> u32) -> Step {
    let a = w.lanes(&i.operands[1]);
    finish(w, i, a.map(f))
}

/// A source of 16 bits: its sign is changed at bit 15.
#[inline(always)]
fn from_f16(w: &mut Wave, i: &Instruction) -> Step {
    let operand = &i.operands[1];
    let mut plain = *operand;
    (plain.negative, plain.absolute) = (false, false);
    let a = w.lanes(&plain);
    let value = a.map(|x| {
        let x = f16_to_f32(x as u16);
        let x = if operand.absolute { x.abs() } else { x };
        if operand.negative { -x } else { x }.to_bits()
    });
    finish(w, i, value)
}

/// Both rounded to 16 bits, the first one low.
fn pair(w: &mut Wave, i: &Instruction, narrow: fn(f32) -> u16) -> Step {
    let (a, b) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]));
    let bits = |x: u32| u32::from(narrow(f32::from_bits(x)));
    w.finish(i, std::array::from_fn(|l| bits(a[l]) | bits(b[l]) << 16))
}

pub fn find(name: &str) -> Option<Run> {
    macro_rules! run {
        ($f:expr) => {{
            fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
                one(w, i, $f)
            }
            run as Run
        }};
    }
    Some(match name {
        "v_cvt_f32_i32" => run!(|x| (x as i32 as f32).to_bits()),
        "v_cvt_f32_u32" => run!(|x| (x as f32).to_bits()),
        // Both saturate, and make a NaN zero.
        "v_cvt_i32_f32" => run!(|x| f32::from_bits(x) as i32 as u32),
        "v_cvt_u32_f32" => run!(|x| f32::from_bits(x) as u32),
        "v_cvt_f16_f32" => run!(|x| u32::from(f32_to_f16(f32::from_bits(x)))),
        "v_cvt_f32_f16" => |w, i, _| from_f16(w, i),
        "v_cvt_f32_ubyte0" => run!(|x| ((x & 255) as f32).to_bits()),
        "v_cvt_pk_bf16_f32" => |w, i, _| pair(w, i, f32_to_bf16),
        "v_cvt_pk_f16_f32" => |w, i, _| pair(w, i, f32_to_f16),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_back_and_forth() {
        for bits in 0..=u16::MAX {
            let x = f16_to_f32(bits);
            if x.is_nan() {
                assert!(f32_to_f16(x) & 0x7fff > 0x7c00);
            } else {
                assert_eq!(f32_to_f16(x), bits);
            }
        }
        // 1 + 2^-11 lies between two: to even.
        assert_eq!(f32_to_f16(1.0 + 2f32.powi(-11)), 0x3c00);
        assert_eq!(f32_to_f16(1.0 + 3.0 * 2f32.powi(-11)), 0x3c02);
        assert_eq!(f32_to_f16(65519.9), 0x7bff);
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(f32_to_bf16(f32::MAX), 0x7f80);
    }
}
