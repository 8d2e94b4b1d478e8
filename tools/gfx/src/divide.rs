//! The three steps around a division in f32, as AMD's instruction set guides define them: scale what would overflow or
//! vanish, the last step of the quotient scaled back, and the special cases.

use crate::float::{finish, scaled};
use crate::instruction::{Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::{LANES, Wave};

fn exponent(x: f32) -> i32 {
    (x.to_bits() >> 23 & 255) as i32
}

/// `value` is one of the other two. The second result says that the quotient must be scaled back.
fn scale(value: f32, denominator: f32, numerator: f32) -> (f32, bool) {
    let same = |a: f32, b: f32| a.to_bits() == b.to_bits();
    let reciprocal_small = (1.0 / denominator).is_subnormal();
    let quotient_small = (numerator / denominator).is_subnormal();
    if numerator == 0.0 || denominator == 0.0 {
        (f32::NAN, false)
    } else if exponent(numerator) - exponent(denominator) >= 96 {
        (if same(value, denominator) { scaled(value, 64) } else { value }, true)
    } else if denominator.is_subnormal() {
        (scaled(value, 64), false)
    } else if reciprocal_small && quotient_small {
        (if same(value, denominator) { scaled(value, 64) } else { value }, true)
    } else if reciprocal_small {
        (scaled(value, -64), false)
    } else if quotient_small {
        (if same(value, numerator) { scaled(value, 64) } else { value }, true)
    } else if exponent(numerator) <= 23 {
        (scaled(value, 64), false)
    } else {
        (value, false)
    }
}

/// `result, flags, value, denominator, numerator`.
fn div_scale(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let [a, b, c] = [2, 3, 4].map(|n| w.lanes(&i.operands[n]));
    let (mut value, mut flags) = ([0; LANES], 0);
    for l in 0..LANES {
        let (x, flag) = scale(f32::from_bits(a[l]), f32::from_bits(b[l]), f32::from_bits(c[l]));
        value[l] = x.to_bits();
        flags |= u64::from(flag) << l;
    }
    let flags = flags & w.exec();
    w.set_mask(&i.operands[1], flags)?;
    finish(w, i, value)
}

fn div_fmas(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let [a, b, c] = [1, 2, 3].map(|n| w.lanes(&i.operands[n]));
    let flags = w.vcc();
    let one = |l: usize| {
        let quotient = f32::from_bits(c[l]);
        let by = match (flags >> l & 1 == 1, exponent(quotient) > 127) {
            (false, _) => 0,
            (true, true) => 64,
            (true, false) => -64,
        };
        scaled(f32::from_bits(a[l]).mul_add(f32::from_bits(b[l]), quotient), by).to_bits()
    };
    finish(w, i, std::array::from_fn(one))
}

fn fixup(quotient: f32, denominator: f32, numerator: f32) -> f32 {
    let sign = if denominator.is_sign_negative() != numerator.is_sign_negative() { -1.0 } else { 1.0 };
    let both = |test: fn(f32) -> bool| test(denominator) && test(numerator);
    if numerator.is_nan() || denominator.is_nan() || both(|x| x == 0.0) || both(f32::is_infinite) {
        f32::NAN
    } else if denominator == 0.0 || numerator.is_infinite() {
        sign * f32::INFINITY
    } else if denominator.is_infinite() || numerator == 0.0 || exponent(numerator) - exponent(denominator) < -150 {
        sign * 0.0
    } else {
        sign * quotient.abs()
    }
}

fn div_fixup(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let [a, b, c] = [1, 2, 3].map(|n| w.lanes(&i.operands[n]));
    let one = |l: usize| fixup(f32::from_bits(a[l]), f32::from_bits(b[l]), f32::from_bits(c[l])).to_bits();
    finish(w, i, std::array::from_fn(one))
}

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "v_div_scale_f32" => div_scale,
        "v_div_fmas_f32" => div_fmas,
        "v_div_fixup_f32" => div_fixup,
        _ => return None,
    })
}
