//! Vector arithmetic in f32.

use crate::instruction::{Flow, Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::{Lanes, Wave};

/// Writes an f32 result, limited where the instruction says so.
#[inline(always)]
pub fn finish(w: &mut Wave, i: &Instruction, mut value: Lanes) -> Step {
    if !i.modifiers.clamp {
        return w.finish(i, value);
    }
    if i.modifiers.destination.is_some() {
        return Err("clamp of a part is not known".into());
    }
    for x in &mut value {
        let f = f32::from_bits(*x);
        *x = if f > 0.0 { f.min(1.0) } else { 0.0 }.to_bits();
    }
    w.set_word(&i.operands[0], 0, &value)?;
    Ok(Flow::Next)
}

#[inline(always)]
fn one(w: &mut Wave, i: &Instruction, f: impl Fn(f32) -> f32) -> Step {
    let a = w.lanes(&i.operands[1]);
    finish(w, i, a.map(|x| f(f32::from_bits(x)).to_bits()))
}

#[inline(always)]
fn two(w: &mut Wave, i: &Instruction, f: impl Fn(f32, f32) -> f32) -> Step {
    let (a, b) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]));
    finish(w, i, std::array::from_fn(|l| f(f32::from_bits(a[l]), f32::from_bits(b[l])).to_bits()))
}

#[inline(always)]
fn three(w: &mut Wave, i: &Instruction, sources: [usize; 3], f: impl Fn(f32, f32, f32) -> f32) -> Step {
    let [a, b, c] = sources.map(|n| w.lanes(&i.operands[n]));
    let at = |x: &Lanes, l: usize| f32::from_bits(x[l]);
    finish(w, i, std::array::from_fn(|l| f(at(&a, l), at(&b, l), at(&c, l)).to_bits()))
}

/// `a` where the mask's bit is 0, `b` where it is 1.
fn select(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (a, b, mask) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]), w.mask_of(&i.operands[3])?);
    w.finish(i, std::array::from_fn(|l| if mask >> l & 1 == 1 { b[l] } else { a[l] }))
}

macro_rules! run {
    ($kind:ident, $($arguments:expr),+) => {{
        fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
            $kind(w, i, $($arguments),+)
        }
        run as Run
    }};
}

/// Subnormal numbers as zeros of their sign.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0f32.copysign(x) } else { x }
}

/// Through f64, rounded once; the transcendental unit does not know subnormal numbers.
pub fn unit(x: f32, f: impl Fn(f64) -> f64) -> f32 {
    flushed(f(f64::from(flushed(x))) as f32)
}

/// A number where one of the two is a NaN; -0 below 0.
pub fn least(a: f32, b: f32) -> f32 {
    if a.is_nan() || b < a || (a == b && b.is_sign_negative()) { b } else { a }
}

pub fn most(a: f32, b: f32) -> f32 {
    if a.is_nan() || b > a || (a == b && a.is_sign_negative()) { b } else { a }
}

/// x 2^by, rounded once.
pub fn scaled(x: f32, by: i32) -> f32 {
    (f64::from(x) * 2f64.powi(by.clamp(-400, 400))) as f32
}

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "v_cndmask_b32" => select,
        "v_add_f32" => run!(two, |a, b| a + b),
        "v_sub_f32" => run!(two, |a, b| a - b),
        "v_subrev_f32" => run!(two, |a, b| b - a),
        "v_mul_f32" => run!(two, |a, b| a * b),
        "v_min_f32" | "v_min_num_f32" => run!(two, least),
        "v_max_f32" | "v_max_num_f32" => run!(two, most),
        "v_max3_f32" | "v_max3_num_f32" => run!(three, [1, 2, 3], |a, b, c| most(most(a, b), c)),
        "v_min3_f32" | "v_min3_num_f32" => run!(three, [1, 2, 3], |a, b, c| least(least(a, b), c)),
        "v_med3_f32" | "v_med3_num_f32" => run!(three, [1, 2, 3], |a, b, c| {
            if a.is_nan() || b.is_nan() || c.is_nan() {
                least(least(a, b), c)
            } else {
                most(least(a, b), least(most(a, b), c))
            }
        }),
        "v_fma_f32" => run!(three, [1, 2, 3], f32::mul_add),
        "v_fmac_f32" => run!(three, [1, 2, 0], f32::mul_add),
        "v_fmamk_f32" => run!(three, [1, 2, 3], f32::mul_add),
        "v_fmaak_f32" => run!(three, [1, 2, 3], f32::mul_add),
        // These round twice and flush subnormal numbers.
        "v_mac_f32" => run!(three, [1, 2, 0], |a, b, c| flushed(flushed(flushed(a) * flushed(b)) + flushed(c))),
        "v_mad_f32" | "v_madmk_f32" | "v_madak_f32" => {
            run!(three, [1, 2, 3], |a, b, c| flushed(flushed(flushed(a) * flushed(b)) + flushed(c)))
        }
        "v_ldexp_f32" => |w, i, _| {
            let (a, by) = (w.lanes(&i.operands[1]), w.raw(&i.operands[2], 0));
            finish(w, i, std::array::from_fn(|l| scaled(f32::from_bits(a[l]), by[l] as i32).to_bits()))
        },
        "v_rndne_f32" => run!(one, f32::round_ties_even),
        "v_trunc_f32" => run!(one, f32::trunc),
        "v_floor_f32" => run!(one, f32::floor),
        "v_ceil_f32" => run!(one, f32::ceil),
        "v_exp_f32" => run!(one, |x| unit(x, f64::exp2)),
        "v_log_f32" => run!(one, |x| unit(x, f64::log2)),
        "v_rcp_f32" | "v_rcp_iflag_f32" => run!(one, |x| unit(x, |y| 1.0 / y)),
        "v_rsq_f32" => run!(one, |x| unit(x, |y| 1.0 / y.sqrt())),
        "v_sqrt_f32" => run!(one, |x| unit(x, f64::sqrt)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima_prefer_numbers_and_know_the_sign_of_zero() {
        assert_eq!(least(f32::NAN, 1.0), 1.0);
        assert_eq!(most(1.0, f32::NAN), 1.0);
        assert!(least(0.0, -0.0).is_sign_negative() && least(-0.0, 0.0).is_sign_negative());
        assert!(most(0.0, -0.0).is_sign_positive() && most(-0.0, 0.0).is_sign_positive());
    }
}
