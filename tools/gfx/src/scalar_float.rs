//! Scalar arithmetic in f32, which gfx12 has.

use crate::compare::{floats, holds};
use crate::convert::{f16_to_f32, f32_to_f16};
use crate::float::{least, most, unit};
use crate::instruction::{Flow, Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::Wave;

fn one(w: &mut Wave, i: &Instruction, f: impl Fn(u32) -> u32) -> Step {
    let value = f(w.scalar_of(&i.operands[1])?);
    w.set_scalar(&i.operands[0], value)?;
    Ok(Flow::Next)
}

/// Sources by their places among the operands: results may be sources too.
fn sources<const COUNT: usize>(
    w: &mut Wave,
    i: &Instruction,
    from: [usize; COUNT],
    f: impl Fn([f32; COUNT]) -> f32,
) -> Step {
    let mut values = [0.0; COUNT];
    for (value, at) in values.iter_mut().zip(from) {
        *value = f32::from_bits(w.scalar_of(i.operands.get(at).ok_or("too few operands")?)?);
    }
    w.set_scalar(&i.operands[0], f(values).to_bits())?;
    Ok(Flow::Next)
}

fn relation<const HOLDS: u32>(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    w.condition = holds(HOLDS, w.scalar_of(&i.operands[0])?, w.scalar_of(&i.operands[1])?);
    Ok(Flow::Next)
}

pub fn find(name: &str) -> Option<Run> {
    macro_rules! run {
        ($kind:ident, $($arguments:expr),+) => {{
            fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
                $kind(w, i, $($arguments),+)
            }
            run as Run
        }};
    }
    if let Some(name) = name.strip_prefix("s_cmp_").and_then(|n| n.strip_suffix("_f32")) {
        return Some(floats!(relation, name));
    }
    Some(match name {
        "s_add_f32" => run!(sources, [1, 2], |[a, b]| a + b),
        "s_sub_f32" => run!(sources, [1, 2], |[a, b]| a - b),
        "s_mul_f32" => run!(sources, [1, 2], |[a, b]| a * b),
        "s_min_num_f32" => run!(sources, [1, 2], |[a, b]| least(a, b)),
        "s_max_num_f32" => run!(sources, [1, 2], |[a, b]| most(a, b)),
        "s_fmac_f32" => run!(sources, [1, 2, 0], |[a, b, c]| a.mul_add(b, c)),
        "s_fmamk_f32" | "s_fmaak_f32" => run!(sources, [1, 2, 3], |[a, b, c]| a.mul_add(b, c)),
        "s_rndne_f32" => run!(sources, [1], |[a]| a.round_ties_even()),
        "s_trunc_f32" => run!(sources, [1], |[a]| a.trunc()),
        "s_floor_f32" => run!(sources, [1], |[a]| a.floor()),
        "s_ceil_f32" => run!(sources, [1], |[a]| a.ceil()),
        "s_cvt_f32_i32" => run!(one, |a| (a as i32 as f32).to_bits()),
        "s_cvt_f32_u32" => run!(one, |a| (a as f32).to_bits()),
        // Both saturate, and make a NaN zero.
        "s_cvt_i32_f32" => run!(one, |a| f32::from_bits(a) as i32 as u32),
        "s_cvt_u32_f32" => run!(one, |a| f32::from_bits(a) as u32),
        "s_cvt_f32_f16" => run!(one, |a| f16_to_f32(a as u16).to_bits()),
        "s_cvt_f16_f32" => run!(one, |a| u32::from(f32_to_f16(f32::from_bits(a)))),
        // The vector unit's functions of one number.
        "v_s_exp_f32" => run!(sources, [1], |[a]| unit(a, f64::exp2)),
        "v_s_log_f32" => run!(sources, [1], |[a]| unit(a, f64::log2)),
        "v_s_rcp_f32" => run!(sources, [1], |[a]| unit(a, |y| 1.0 / y)),
        "v_s_rsq_f32" => run!(sources, [1], |[a]| unit(a, |y| 1.0 / y.sqrt())),
        "v_s_sqrt_f32" => run!(sources, [1], |[a]| unit(a, f64::sqrt)),
        _ => return None,
    })
}
