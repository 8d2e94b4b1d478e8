//! Control flow of a wave, and the scalar comparisons that it goes by.

use crate::instruction::{Flow, Instruction, Run, Step};
use crate::launch::Block;
use crate::scalar::short;
use crate::wave::{VCC, Wave};

fn compare(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32) -> bool) -> Step {
    w.condition = f(w.scalar_of(&i.operands[0])?, w.scalar_of(&i.operands[1])?);
    Ok(Flow::Next)
}

/// With a constant of 16 bits in the instruction.
fn compare_short(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32) -> bool) -> Step {
    w.condition = f(w.scalar_of(&i.operands[0])?, w.scalar_of(&i.operands[1])? & 0xffff);
    Ok(Flow::Next)
}

fn branch(w: &Wave, i: &Instruction, take: impl Fn(&Wave) -> bool) -> Step {
    Ok(if take(w) { Flow::Jump(i.target) } else { Flow::Next })
}

fn always(_: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    Ok(Flow::Jump(i.target))
}

fn compare64(w: &mut Wave, i: &Instruction, f: impl Fn(u64, u64) -> bool) -> Step {
    w.condition = f(w.scalar_pair_of(&i.operands[0])?, w.scalar_pair_of(&i.operands[1])?);
    Ok(Flow::Next)
}

macro_rules! run {
    ($kind:ident, $f:expr) => {{
        fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
            $kind(w, i, $f)
        }
        run as Run
    }};
}

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "s_nop" | "s_setprio" | "s_sleep" => |_, _, _| Ok(Flow::Next),
        "s_waitcnt" => |w, i, _| {
            w.waits.wait(i.modifiers.waits);
            Ok(Flow::Next)
        },
        "s_barrier" => |_, _, _| Ok(Flow::Barrier),
        "s_endpgm" => |_, _, _| Ok(Flow::End),
        "s_branch" => always,
        "s_cbranch_scc0" => run!(branch, |w| !w.condition),
        "s_cbranch_scc1" => run!(branch, |w| w.condition),
        "s_cbranch_execz" => run!(branch, |w| w.exec() == 0),
        "s_cbranch_execnz" => run!(branch, |w| w.exec() != 0),
        "s_cbranch_vccz" => run!(branch, |w| w.pair(VCC) == 0),
        "s_cbranch_vccnz" => run!(branch, |w| w.pair(VCC) != 0),
        "s_cmp_eq_i32" | "s_cmp_eq_u32" => run!(compare, |a, b| a == b),
        "s_cmp_lg_i32" | "s_cmp_lg_u32" => run!(compare, |a, b| a != b),
        "s_cmp_gt_i32" => run!(compare, |a, b| a as i32 > b as i32),
        "s_cmp_ge_i32" => run!(compare, |a, b| a as i32 >= b as i32),
        "s_cmp_lt_i32" => run!(compare, |a, b| (a as i32) < b as i32),
        "s_cmp_le_i32" => run!(compare, |a, b| a as i32 <= b as i32),
        "s_cmp_gt_u32" => run!(compare, |a, b| a > b),
        "s_cmp_ge_u32" => run!(compare, |a, b| a >= b),
        "s_cmp_lt_u32" => run!(compare, |a, b| a < b),
        "s_cmp_le_u32" => run!(compare, |a, b| a <= b),
        "s_cmp_eq_u64" => run!(compare64, |a, b| a == b),
        "s_cmp_lg_u64" => run!(compare64, |a, b| a != b),
        "s_cmpk_eq_i32" => run!(compare_short, |a, b| a as i32 == short(b)),
        "s_cmpk_lg_i32" => run!(compare_short, |a, b| a as i32 != short(b)),
        "s_cmpk_gt_i32" => run!(compare_short, |a, b| a as i32 > short(b)),
        "s_cmpk_ge_i32" => run!(compare_short, |a, b| a as i32 >= short(b)),
        "s_cmpk_lt_i32" => run!(compare_short, |a, b| (a as i32) < short(b)),
        "s_cmpk_le_i32" => run!(compare_short, |a, b| a as i32 <= short(b)),
        "s_cmpk_eq_u32" => run!(compare_short, |a, b| a == b),
        "s_cmpk_lg_u32" => run!(compare_short, |a, b| a != b),
        "s_cmpk_gt_u32" => run!(compare_short, |a, b| a > b),
        "s_cmpk_ge_u32" => run!(compare_short, |a, b| a >= b),
        "s_cmpk_lt_u32" => run!(compare_short, |a, b| a < b),
        "s_cmpk_le_u32" => run!(compare_short, |a, b| a <= b),
        "s_bitcmp0_b32" => run!(compare, |a, b| a >> (b & 31) & 1 == 0),
        "s_bitcmp1_b32" => run!(compare, |a, b| a >> (b & 31) & 1 == 1),
        _ => return None,
    })
}
