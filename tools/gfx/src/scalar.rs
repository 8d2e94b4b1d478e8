//! Scalar arithmetic.

use crate::instruction::{Flow, Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::{EXEC, Wave};

/// A result and what becomes of the condition.
type Result32 = (u32, Option<bool>);

/// `result, a, b`.
fn binary(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32, bool) -> Result32) -> Step {
    let (a, b) = (w.scalar_of(&i.operands[1])?, w.scalar_of(&i.operands[2])?);
    let (value, condition) = f(a, b, w.condition);
    w.set_scalar(&i.operands[0], value)?;
    w.condition = condition.unwrap_or(w.condition);
    Ok(Flow::Next)
}

fn unary(w: &mut Wave, i: &Instruction, f: impl Fn(u32) -> Result32) -> Step {
    let (value, condition) = f(w.scalar_of(&i.operands[1])?);
    w.set_scalar(&i.operands[0], value)?;
    w.condition = condition.unwrap_or(w.condition);
    Ok(Flow::Next)
}

/// `result, a, b` of 64 bits; the condition says whether the result is not zero.
fn binary64(w: &mut Wave, i: &Instruction, f: impl Fn(u64, u64) -> u64) -> Step {
    let value = f(w.scalar_pair_of(&i.operands[1])?, w.scalar_pair_of(&i.operands[2])?);
    w.set_scalar_pair(&i.operands[0], value)?;
    w.condition = value != 0;
    Ok(Flow::Next)
}

/// `result, a, b` of 64 bits; the condition stays.
fn plain64(w: &mut Wave, i: &Instruction, f: impl Fn(u64, u64) -> u64) -> Step {
    let value = f(w.scalar_pair_of(&i.operands[1])?, w.scalar_pair_of(&i.operands[2])?);
    w.set_scalar_pair(&i.operands[0], value)?;
    Ok(Flow::Next)
}

/// 64 bits and a shift or field of 32.
fn shift64(w: &mut Wave, i: &Instruction, f: impl Fn(u64, u32) -> u64) -> Step {
    let value = f(w.scalar_pair_of(&i.operands[1])?, w.scalar_of(&i.operands[2])?);
    w.set_scalar_pair(&i.operands[0], value)?;
    w.condition = value != 0;
    Ok(Flow::Next)
}

/// exec becomes `f(a, exec)`, what it was goes to the result.
fn save_exec(w: &mut Wave, i: &Instruction, f: impl Fn(u64, u64) -> u64) -> Step {
    let (a, exec) = (w.mask_of(&i.operands[1])?, w.exec());
    let value = f(a, exec) & w.all();
    w.set_mask(&i.operands[0], exec)?;
    w.set_pair(EXEC, value);
    w.condition = value != 0;
    Ok(Flow::Next)
}

fn move64(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let value = w.scalar_pair_of(&i.operands[1])?;
    w.set_scalar_pair(&i.operands[0], value)?;
    Ok(Flow::Next)
}

fn not64(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let value = !w.scalar_pair_of(&i.operands[1])?;
    w.set_scalar_pair(&i.operands[0], value)?;
    w.condition = value != 0;
    Ok(Flow::Next)
}

fn count64(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let value = w.scalar_pair_of(&i.operands[1])?.count_ones();
    w.set_scalar(&i.operands[0], value)?;
    w.condition = value != 0;
    Ok(Flow::Next)
}

fn first64(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let bits = w.scalar_pair_of(&i.operands[1])?;
    w.set_scalar(&i.operands[0], if bits == 0 { u32::MAX } else { bits.trailing_zeros() })?;
    Ok(Flow::Next)
}

fn select64(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let value = w.scalar_pair_of(&i.operands[if w.condition { 1 } else { 2 }])?;
    w.set_scalar_pair(&i.operands[0], value)?;
    Ok(Flow::Next)
}

/// `result, a, b`, or `a, constant` with 16 bits of it; the condition says whether it overflowed.
fn add_signed(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (a, b) = match i.operands.as_slice() {
        [to, constant] => (w.scalar_of(to)?, short(w.scalar_of(constant)?)),
        operands => (w.scalar_of(&operands[1])?, w.scalar_of(&operands[2])? as i32),
    };
    let (value, over) = (a as i32).overflowing_add(b);
    w.set_scalar(&i.operands[0], value as u32)?;
    w.condition = over;
    Ok(Flow::Next)
}

fn multiply_short(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (a, b) = (w.scalar_of(&i.operands[0])?, short(w.scalar_of(&i.operands[1])?));
    w.set_scalar(&i.operands[0], a.wrapping_mul(b as u32))?;
    Ok(Flow::Next)
}

fn set_bit<const VALUE: bool>(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (a, bit) = (w.scalar_of(&i.operands[0])?, 1 << (w.scalar_of(&i.operands[1])? & 31));
    w.set_scalar(&i.operands[0], if VALUE { a | bit } else { a & !bit })?;
    Ok(Flow::Next)
}

fn add_shifted(a: u32, bits: u32, b: u32) -> Result32 {
    let sum = (u64::from(a) << bits) + u64::from(b);
    (sum as u32, Some(sum >> 32 != 0))
}

/// The low 16 bits with their sign.
pub fn short(x: u32) -> i32 {
    i32::from(x as u16 as i16)
}

/// A field of `b`: the lowest bit, and its width from bit 16 on.
fn field(b: u32, bits: u32) -> (u32, u32) {
    (b & (bits - 1), (b >> 16 & 0x7f).min(bits))
}

fn unsigned_field(x: u64, first: u32, width: u32) -> u64 {
    if width == 0 { 0 } else { x >> first & (u64::MAX >> (64 - width)) }
}

fn signed_field(x: u64, first: u32, width: u32) -> u64 {
    if width == 0 { 0 } else { ((unsigned_field(x, first, width) << (64 - width)) as i64 >> (64 - width)) as u64 }
}

macro_rules! run {
    ($kind:ident, $f:expr) => {{
        fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
            $kind(w, i, $f)
        }
        run as Run
    }};
}

/// The condition says whether the result is not zero.
fn tested(x: u32) -> Result32 {
    (x, Some(x != 0))
}

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "s_mov_b32" => run!(unary, |a| (a, None)),
        "s_movk_i32" => run!(unary, |a| (short(a) as u32, None)),
        "s_not_b32" => run!(unary, |a| tested(!a)),
        "s_brev_b32" => run!(unary, |a| (a.reverse_bits(), None)),
        "s_abs_i32" => run!(unary, |a| tested((a as i32).unsigned_abs())),
        "s_bcnt1_i32_b32" => run!(unary, |a| tested(a.count_ones())),
        "s_ff1_i32_b32" | "s_ctz_i32_b32" => {
            run!(unary, |a| (if a == 0 { u32::MAX } else { a.trailing_zeros() }, None))
        }
        "s_flbit_i32_b32" | "s_clz_i32_u32" => {
            run!(unary, |a| (if a == 0 { u32::MAX } else { a.leading_zeros() }, None))
        }
        // The first bit from the top that differs from the sign.
        "s_flbit_i32" | "s_cls_i32" => run!(unary, |a| {
            let differing = a ^ ((a as i32 >> 31) as u32);
            (if differing == 0 { u32::MAX } else { differing.leading_zeros() }, None)
        }),
        "s_sext_i32_i16" => run!(unary, |a| (short(a) as u32, None)),
        "s_sext_i32_i8" => run!(unary, |a| (i32::from(a as u8 as i8) as u32, None)),
        "s_mov_b64" => move64,
        "s_not_b64" => not64,
        "s_bcnt1_i32_b64" => count64,
        "s_ff1_i32_b64" | "s_ctz_i32_b64" => first64,
        "s_add_i32" | "s_addk_i32" | "s_add_co_i32" | "s_addk_co_i32" => add_signed,
        "s_mulk_i32" => multiply_short,
        "s_sub_i32" | "s_sub_co_i32" => run!(binary, |a, b, _| {
            let (x, over) = (a as i32).overflowing_sub(b as i32);
            (x as u32, Some(over))
        }),
        "s_add_u32" | "s_add_co_u32" => run!(binary, |a, b, _| {
            let (x, carry) = a.overflowing_add(b);
            (x, Some(carry))
        }),
        "s_addc_u32" | "s_add_co_ci_u32" => run!(binary, |a, b, c| {
            let x = u64::from(a) + u64::from(b) + u64::from(c);
            (x as u32, Some(x >> 32 != 0))
        }),
        "s_sub_u32" | "s_sub_co_u32" => run!(binary, |a, b, _| {
            let (x, borrow) = a.overflowing_sub(b);
            (x, Some(borrow))
        }),
        "s_subb_u32" | "s_sub_co_ci_u32" => run!(binary, |a, b, c| {
            let x = i64::from(a) - i64::from(b) - i64::from(c);
            (x as u32, Some(x < 0))
        }),
        "s_mul_i32" => run!(binary, |a, b, _| (a.wrapping_mul(b), None)),
        "s_mul_hi_u32" => run!(binary, |a, b, _| (((u64::from(a) * u64::from(b)) >> 32) as u32, None)),
        "s_mul_hi_i32" => {
            run!(binary, |a, b, _| (((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32, None))
        }
        "s_lshl_b32" => run!(binary, |a, b, _| tested(a << (b & 31))),
        "s_lshr_b32" => run!(binary, |a, b, _| tested(a >> (b & 31))),
        "s_ashr_i32" => run!(binary, |a, b, _| tested((a as i32 >> (b & 31)) as u32)),
        "s_lshl1_add_u32" => run!(binary, |a, b, _| add_shifted(a, 1, b)),
        "s_lshl2_add_u32" => run!(binary, |a, b, _| add_shifted(a, 2, b)),
        "s_lshl3_add_u32" => run!(binary, |a, b, _| add_shifted(a, 3, b)),
        "s_lshl4_add_u32" => run!(binary, |a, b, _| add_shifted(a, 4, b)),
        "s_and_b32" => run!(binary, |a, b, _| tested(a & b)),
        "s_or_b32" => run!(binary, |a, b, _| tested(a | b)),
        "s_or_not1_b32" => run!(binary, |a, b, _| tested(a | !b)),
        "s_nand_b32" => run!(binary, |a, b, _| tested(!(a & b))),
        "s_nor_b32" => run!(binary, |a, b, _| tested(!(a | b))),
        "s_xnor_b32" => run!(binary, |a, b, _| tested(!(a ^ b))),
        "s_xor_b32" => run!(binary, |a, b, _| tested(a ^ b)),
        "s_andn2_b32" | "s_and_not1_b32" => run!(binary, |a, b, _| tested(a & !b)),
        "s_min_u32" => run!(binary, |a, b, _| (a.min(b), Some(a < b))),
        "s_max_u32" => run!(binary, |a, b, _| (a.max(b), Some(a > b))),
        "s_min_i32" => run!(binary, |a, b, _| ((a as i32).min(b as i32) as u32, Some((a as i32) < b as i32))),
        "s_max_i32" => run!(binary, |a, b, _| ((a as i32).max(b as i32) as u32, Some(a as i32 > b as i32))),
        "s_bfe_u32" => run!(binary, |a, b, _| {
            let (first, width) = field(b, 32);
            tested(unsigned_field(u64::from(a), first, width) as u32)
        }),
        "s_bfe_i32" => run!(binary, |a, b, _| {
            let (first, width) = field(b, 32);
            tested(signed_field(i64::from(a as i32) as u64, first, width) as u32)
        }),
        "s_pack_ll_b32_b16" => run!(binary, |a, b, _| ((a & 0xffff) | b << 16, None)),
        "s_pack_lh_b32_b16" => run!(binary, |a, b, _| ((a & 0xffff) | (b & 0xffff_0000), None)),
        "s_pack_hh_b32_b16" => run!(binary, |a, b, _| (a >> 16 | (b & 0xffff_0000), None)),
        "s_cselect_b32" => run!(binary, |a, b, c| (if c { a } else { b }, None)),
        "s_cselect_b64" => select64,
        "s_and_b64" => run!(binary64, |a, b| a & b),
        "s_or_b64" => run!(binary64, |a, b| a | b),
        "s_xor_b64" => run!(binary64, |a, b| a ^ b),
        "s_nand_b64" => run!(binary64, |a, b| !(a & b)),
        "s_nor_b64" => run!(binary64, |a, b| !(a | b)),
        "s_xnor_b64" => run!(binary64, |a, b| !(a ^ b)),
        "s_andn2_b64" | "s_and_not1_b64" => run!(binary64, |a, b| a & !b),
        "s_orn2_b64" | "s_or_not1_b64" => run!(binary64, |a, b| a | !b),
        "s_add_nc_u64" => run!(plain64, u64::wrapping_add),
        "s_sub_nc_u64" => run!(plain64, u64::wrapping_sub),
        "s_mul_u64" => run!(plain64, u64::wrapping_mul),
        "s_lshl_b64" => run!(shift64, |a, b| a << (b & 63)),
        "s_lshr_b64" => run!(shift64, |a, b| a >> (b & 63)),
        "s_ashr_i64" => run!(shift64, |a, b| (a as i64 >> (b & 63)) as u64),
        "s_bfe_u64" => run!(shift64, |a, b| {
            let (first, width) = field(b, 64);
            unsigned_field(a, first, width)
        }),
        "s_bfe_i64" => run!(shift64, |a, b| {
            let (first, width) = field(b, 64);
            signed_field(a, first, width)
        }),
        "s_and_saveexec_b64" | "s_and_saveexec_b32" => run!(save_exec, |a, exec| a & exec),
        "s_or_saveexec_b64" | "s_or_saveexec_b32" => run!(save_exec, |a, exec| a | exec),
        "s_xor_saveexec_b64" | "s_xor_saveexec_b32" => run!(save_exec, |a, exec| a ^ exec),
        "s_andn2_saveexec_b64" | "s_and_not1_saveexec_b32" => run!(save_exec, |a, exec| a & !exec),
        "s_bitset0_b32" => set_bit::<false>,
        "s_bitset1_b32" => set_bit::<true>,
        _ => return None,
    })
}
