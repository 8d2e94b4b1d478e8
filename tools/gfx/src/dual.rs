//! Two instructions in one: each reads before either writes.

use crate::instruction::{Flow, Instruction, Place, Step};
use crate::launch::Block;
use crate::wave::Wave;

/// Runs the first, takes its result back while the second runs, and puts it in place again.
pub fn run(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [first, second] = i.pair.as_slice() else { return Err("two are known".into()) };
    let to = |i: &Instruction| i.operands.first().map(|o| o.place);
    let (Some(Place::Vector(at)), Some(Place::Vector(other))) = (to(first), to(second)) else {
        return Err("a half writes no vector register".into());
    };
    if at % 2 == other % 2 {
        return Err("both results are in even registers, or both in odd ones".into());
    }
    let before = w.vector[at];
    (first.run)(w, first, b)?;
    let after = std::mem::replace(&mut w.vector[at], before);
    (second.run)(w, second, b)?;
    w.vector[at] = after;
    Ok(Flow::Next)
}
