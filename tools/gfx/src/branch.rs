//! Control flow of a wave, and the scalar comparisons that it goes by.

use crate::instruction::{Flow, Instruction, Run, Step};
use crate::launch::Block;
use crate::scalar::short;
use crate::wave::Wave;

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

fn no_effect(_: &mut Wave, _: &Instruction, _: &mut Block<'_>) -> Step {
    Ok(Flow::Next)
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
        // Hints, wait states and caches, of which there are none here.
        "s_nop" | "s_setprio" | "s_sleep" | "s_clause" | "s_delay_alu" | "s_set_inst_prefetch_distance" => no_effect,
        "s_waitcnt_depctr" | "s_wait_alu" | "buffer_gl0_inv" | "global_inv" => no_effect,
        // The one message that is known: no vector register is needed any more, just before the end.
        "s_sendmsg" => no_effect,
        // Fills the space behind a kernel.
        "s_code_end" => |_, _, _| Err("runs past the end of the kernel".into()),
        "s_waitcnt"
        | "s_waitcnt_vscnt"
        | "s_wait_loadcnt"
        | "s_wait_storecnt"
        | "s_wait_dscnt"
        | "s_wait_kmcnt"
        | "s_wait_loadcnt_dscnt"
        | "s_wait_storecnt_dscnt" => |w, i, _| {
            w.waits.wait(i.modifiers.waits);
            Ok(Flow::Next)
        },
        "s_barrier" => |w, _, _| {
            w.signal();
            Ok(Flow::Barrier)
        },
        "s_barrier_signal" => |w, _, _| {
            w.signal();
            Ok(Flow::Next)
        },
        "s_barrier_wait" => |w, _, _| match w.signalled {
            Some(_) => Ok(Flow::Barrier),
            None => Err("waits at a barrier that it has not signalled".into()),
        },
        "s_endpgm" => |_, _, _| Ok(Flow::End),
        "s_branch" => always,
        "s_cbranch_scc0" => run!(branch, |w| !w.condition),
        "s_cbranch_scc1" => run!(branch, |w| w.condition),
        "s_cbranch_execz" => run!(branch, |w| w.exec() == 0),
        "s_cbranch_execnz" => run!(branch, |w| w.exec() != 0),
        "s_cbranch_vccz" => run!(branch, |w| w.vcc() == 0),
        "s_cbranch_vccnz" => run!(branch, |w| w.vcc() != 0),
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
