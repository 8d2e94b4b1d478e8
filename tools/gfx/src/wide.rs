//! Vector arithmetic with carries, and on 64 bits.

use crate::instruction::{Flow, Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::{LANES, Wave};

/// A sum or difference of 33 bits: the low ones, and the bit of the carry or borrow.
type WithCarry = (u32, bool);

/// `result, carry out, a, b`, and the carry in behind them where there is one.
#[inline(always)]
fn carrying(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32, bool) -> WithCarry) -> Step {
    let (a, b) = (w.lanes(&i.operands[2]), w.lanes(&i.operands[3]));
    let carry = i.operands.get(4).map_or(Ok(0), |o| w.mask_of(o))?;
    let (mut value, mut out) = ([0; LANES], 0);
    for l in 0..LANES {
        let (x, c) = f(a[l], b[l], carry >> l & 1 == 1);
        value[l] = x;
        out |= u64::from(c) << l;
    }
    let out = out & w.exec();
    w.set_mask(&i.operands[1], out)?;
    w.finish(i, value)
}

fn add(a: u32, b: u32, c: bool) -> WithCarry {
    let x = u64::from(a) + u64::from(b) + u64::from(c);
    (x as u32, x >> 32 != 0)
}

fn subtract(a: u32, b: u32, c: bool) -> WithCarry {
    let x = i64::from(a) - i64::from(b) - i64::from(c);
    (x as u32, x < 0)
}

/// `shift, value`.
#[inline(always)]
fn shift(w: &mut Wave, i: &Instruction, f: impl Fn(u64, u32) -> u64) -> Step {
    let (by, value) = (w.lanes(&i.operands[1]), w.wide(&i.operands[2]));
    w.finish_wide(i, &std::array::from_fn(|l| f(value[l], by[l] & 63)))
}

/// `result, carry out, a, b, c`: a b + c, where c and the result have 64 bits.
#[inline(always)]
fn multiply_add(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32, u64) -> (u64, bool)) -> Step {
    let (a, b, c) = (w.lanes(&i.operands[2]), w.lanes(&i.operands[3]), w.wide(&i.operands[4]));
    let (mut value, mut out) = ([0; LANES], 0);
    for l in 0..LANES {
        let (x, over) = f(a[l], b[l], c[l]);
        value[l] = x;
        out |= u64::from(over) << l;
    }
    let out = out & w.exec();
    w.set_mask(&i.operands[1], out)?;
    w.finish_wide(i, &value)
}

fn shift_add(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (a, by, c) = (w.wide(&i.operands[1]), w.lanes(&i.operands[2]), w.wide(&i.operands[3]));
    // The instruction shifts by 0 to 4.
    if by.iter().any(|n| *n > 4) {
        return Err("shifts by more than four".into());
    }
    w.finish_wide(i, &std::array::from_fn(|l| (a[l] << by[l]).wrapping_add(c[l])))
}

fn move_wide(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let value = w.wide(&i.operands[1]);
    w.finish_wide(i, &value)
}

fn read_first(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    // Without any lane it reads the first one.
    let lane = if w.exec() == 0 { 0 } else { w.exec().trailing_zeros() as usize };
    let value = w.raw(&i.operands[1], 0)[lane];
    w.set_scalar(&i.operands[0], value)?;
    Ok(Flow::Next)
}

pub fn find(name: &str) -> Option<Run> {
    macro_rules! run {
        ($kind:ident, $f:expr) => {{
            fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
                $kind(w, i, $f)
            }
            run as Run
        }};
    }
    Some(match name {
        "v_add_co_u32" | "v_addc_co_u32" | "v_add_co_ci_u32" => run!(carrying, add),
        "v_sub_co_u32" | "v_subb_co_u32" | "v_sub_co_ci_u32" => run!(carrying, subtract),
        "v_subrev_co_u32" | "v_subbrev_co_u32" | "v_subrev_co_ci_u32" => run!(carrying, |a, b, c| subtract(b, a, c)),
        "v_lshlrev_b64" => run!(shift, |x, by| x << by),
        "v_lshrrev_b64" => run!(shift, |x, by| x >> by),
        "v_ashrrev_i64" => run!(shift, |x, by| (x as i64 >> by) as u64),
        "v_mad_u64_u32" | "v_mad_co_u64_u32" => {
            run!(multiply_add, |a, b, c| (u64::from(a) * u64::from(b)).overflowing_add(c))
        }
        "v_mad_i64_i32" | "v_mad_co_i64_i32" => run!(multiply_add, |a, b, c| {
            let product = i64::from(a as i32) * i64::from(b as i32);
            let (x, over) = product.overflowing_add(c as i64);
            (x as u64, over)
        }),
        "v_lshl_add_u64" => shift_add,
        "v_mov_b64" => move_wide,
        "v_readfirstlane_b32" => read_first,
        _ => return None,
    })
}
