//! Vector comparisons: a bit a lane, zero for lanes that take no part.

use crate::instruction::{Flow, Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::{LANES, Wave};
use std::cmp::Ordering;

fn finish(w: &mut Wave, i: &Instruction, truth: impl Fn(usize) -> bool) -> Step {
    let mask = (0..LANES).fold(0, |mask, l| mask | u64::from(truth(l)) << l) & w.exec();
    w.set_mask(&i.operands[0], mask)?;
    Ok(Flow::Next)
}

#[inline(always)]
fn words(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32) -> bool) -> Step {
    let (a, b) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]));
    finish(w, i, |l| f(a[l], b[l]))
}

#[inline(always)]
fn wide(w: &mut Wave, i: &Instruction, f: impl Fn(u64, u64) -> bool) -> Step {
    let (a, b) = (w.wide(&i.operands[1]), w.wide(&i.operands[2]));
    finish(w, i, |l| f(a[l], b[l]))
}

/// Which of ten classes a number is in: signalling NaN, quiet NaN, then -infinity to infinity.
fn class(bits: u32) -> u32 {
    let x = f32::from_bits(bits);
    let negative = x.is_sign_negative();
    match x.classify() {
        std::num::FpCategory::Nan => u32::from(bits & 0x0040_0000 != 0),
        std::num::FpCategory::Infinite => {
            if negative {
                2
            } else {
                9
            }
        }
        std::num::FpCategory::Normal => {
            if negative {
                3
            } else {
                8
            }
        }
        std::num::FpCategory::Subnormal => {
            if negative {
                4
            } else {
                7
            }
        }
        std::num::FpCategory::Zero => {
            if negative {
                5
            } else {
                6
            }
        }
    }
}

macro_rules! run {
    ($kind:ident, $f:expr) => {{
        fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
            $kind(w, i, $f)
        }
        run as Run
    }};
}

/// A comparison of integers by its name, after `as`.
macro_rules! integers {
    ($kind:ident, $relation:expr, $from:ty, $to:ty) => {
        match $relation {
            "lt" => run!($kind, |a: $from, b: $from| (a as $to) < b as $to),
            "eq" => run!($kind, |a: $from, b: $from| a as $to == b as $to),
            "le" => run!($kind, |a: $from, b: $from| a as $to <= b as $to),
            "gt" => run!($kind, |a: $from, b: $from| a as $to > b as $to),
            "ne" => run!($kind, |a: $from, b: $from| a as $to != b as $to),
            "ge" => run!($kind, |a: $from, b: $from| a as $to >= b as $to),
            _ => return None,
        }
    };
}

/// What runs a relation of f32, by its name. With `n` in front: not so, which is true of NaN.
macro_rules! floats {
    ($run:ident, $name:expr) => {
        match $name {
            "lt" => $run::<1>,
            "eq" => $run::<2>,
            "le" => $run::<3>,
            "gt" => $run::<4>,
            "lg" => $run::<5>,
            "ge" => $run::<6>,
            "o" => $run::<7>,
            "u" => $run::<8>,
            "nge" => $run::<9>,
            "nlg" => $run::<10>,
            "ngt" => $run::<11>,
            "nle" => $run::<12>,
            "neq" => $run::<13>,
            "nlt" => $run::<14>,
            _ => return None,
        }
    };
}
pub(crate) use floats;

pub fn find(name: &str) -> Option<Run> {
    let name = name.strip_prefix("v_cmpx_").or_else(|| name.strip_prefix("v_cmp_"))?;
    if name == "class_f32" {
        return Some(run!(words, |a, classes| classes >> class(a) & 1 == 1));
    }
    let (relation_name, kind) = name.split_once('_')?;
    Some(match kind {
        "i32" => integers!(words, relation_name, u32, i32),
        "u32" => integers!(words, relation_name, u32, u32),
        "i16" => integers!(words, relation_name, u32, i16),
        "u16" => integers!(words, relation_name, u32, u16),
        "i64" => integers!(wide, relation_name, u64, i64),
        "u64" => integers!(wide, relation_name, u64, u64),
        "f32" => floats!(relation, relation_name),
        _ => return None,
    })
}

/// A relation of f32 is the set of outcomes for which it holds: 1 less, 2 equal, 4 greater, 8 one of both is a NaN.
pub fn holds(relation: u32, a: u32, b: u32) -> bool {
    let outcome = match f32::from_bits(a).partial_cmp(&f32::from_bits(b)) {
        Some(Ordering::Less) => 1,
        Some(Ordering::Equal) => 2,
        Some(Ordering::Greater) => 4,
        None => 8,
    };
    relation & outcome != 0
}

fn relation<const HOLDS: u32>(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    words(w, i, |a, b| holds(HOLDS, a, b))
}
