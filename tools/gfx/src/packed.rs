//! Two numbers of f32 in two registers.

use crate::instruction::{Flow, Instruction, Operand, Place, Run, Step};
use crate::launch::Block;
use crate::wave::{Lanes, Wave};

/// The register of source `n` that result `half` is made of, with its sign.
fn source(w: &Wave, i: &Instruction, n: usize, half: usize) -> Lanes {
    let m = &i.modifiers;
    let (select, negative) = [(m.low[n], m.negative_low[n]), (m.high[n], m.negative_high[n])][half];
    let operand: &Operand = &i.operands[n + 1];
    // A constant stands in both halves.
    let word = if matches!(operand.place, Place::Constant(..)) { 0 } else { usize::from(select) };
    let mut value = w.raw(operand, word);
    if negative != 0 {
        value.iter_mut().for_each(|x| *x ^= 1 << 31);
    }
    value
}

fn finish(w: &mut Wave, i: &Instruction, halves: [Lanes; 2]) -> Step {
    w.set_word(&i.operands[0], 0, &halves[0])?;
    w.set_word(&i.operands[0], 1, &halves[1])?;
    Ok(Flow::Next)
}

#[inline(always)]
fn two(w: &mut Wave, i: &Instruction, f: impl Fn(f32, f32) -> f32) -> Step {
    let halves = [0, 1].map(|half| {
        let (a, b) = (source(w, i, 0, half), source(w, i, 1, half));
        std::array::from_fn(|l| f(f32::from_bits(a[l]), f32::from_bits(b[l])).to_bits())
    });
    finish(w, i, halves)
}

fn fma(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let halves = [0, 1].map(|half| {
        let (a, b, c) = (source(w, i, 0, half), source(w, i, 1, half), source(w, i, 2, half));
        let at = |x: &Lanes, l: usize| f32::from_bits(x[l]);
        std::array::from_fn(|l| at(&a, l).mul_add(at(&b, l), at(&c, l)).to_bits())
    });
    finish(w, i, halves)
}

/// The first result from the first source, the second from the second.
fn mov(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let pick = |n: usize, select: u8| match i.operands[n].place {
        Place::Constant(..) => w.raw(&i.operands[n], 0),
        _ => w.raw(&i.operands[n], usize::from(select)),
    };
    let halves = [pick(1, i.modifiers.low[0]), pick(2, i.modifiers.low[1])];
    finish(w, i, halves)
}

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "v_pk_add_f32" => |w, i, _| two(w, i, |a, b| a + b),
        "v_pk_mul_f32" => |w, i, _| two(w, i, |a, b| a * b),
        "v_pk_fma_f32" => fma,
        "v_pk_mov_b32" => mov,
        _ => return None,
    })
}
