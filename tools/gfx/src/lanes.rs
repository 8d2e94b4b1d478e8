//! From lane to lane.

use crate::instruction::{Flow, Instruction, Place, Run, Step};
use crate::launch::Block;
use crate::wave::Wave;

fn read_lane(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let lane = w.scalar_of(&i.operands[2])? as usize % w.size;
    let value = w.raw(&i.operands[1], 0)[lane];
    w.set_scalar(&i.operands[0], value)?;
    Ok(Flow::Next)
}

/// Whether the lane takes part or not.
fn write_lane(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (value, lane) = (w.scalar_of(&i.operands[1])?, w.scalar_of(&i.operands[2])? as usize % w.size);
    let Place::Vector(at) = i.operands[0].place else { return Err("the result is no vector register".into()) };
    w.vector[at][lane] = value;
    Ok(Flow::Next)
}

/// Bits of a mask below the lane, among the first or the last 32.
fn count_below<const HIGH: bool>(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (mask, more) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]));
    w.finish(
        i,
        std::array::from_fn(|l| {
            let lanes = if HIGH { l.saturating_sub(32) } else { l.min(32) } as u32;
            let below = if lanes == 32 { u32::MAX } else { (1 << lanes) - 1 };
            (mask[l] & below).count_ones().wrapping_add(more[l])
        }),
    )
}

/// Every lane takes a register of the lane that it names, by bytes; zero from a lane that takes no part.
fn pull(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let [to, from, value] = i.operands.as_slice() else { return Err("three operands are known".into()) };
    let (exec, from, value) = (w.exec(), w.raw(from, 0), w.raw(value, 0));
    let offset = i.modifiers.offset as u32;
    let out = std::array::from_fn(|l| {
        let lane = (from[l].wrapping_add(offset) / 4) as usize % w.size;
        if exec >> lane & 1 == 1 { value[lane] } else { 0 }
    });
    w.set_word(to, 0, &out)?;
    if let Place::Vector(first) = to.place {
        w.waits.lds(first, 1, Vec::new());
    }
    Ok(Flow::Next)
}

/// Of each two rows of 16 lanes, every lane takes a register of the other row: of the lane that four bits of two scalars name.
fn other_row(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let [_, value, low, high] = i.operands.as_slice() else { return Err("four operands are known".into()) };
    let selects = u64::from(w.scalar_of(low)?) | u64::from(w.scalar_of(high)?) << 32;
    // What a lane gets from one that takes no part depends on modifiers.
    if w.exec() != w.all() || i.modifiers.low != [0; 3] {
        return Err("lanes that take no part are not known".into());
    }
    let value = w.raw(value, 0);
    w.finish(i, std::array::from_fn(|l| value[(l & !15 ^ 16) + (selects >> (4 * (l & 15)) & 15) as usize]))
}

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "v_readlane_b32" => read_lane,
        "v_writelane_b32" => write_lane,
        "v_mbcnt_lo_u32_b32" => count_below::<false>,
        "v_mbcnt_hi_u32_b32" => count_below::<true>,
        "v_permlanex16_b32" => other_row,
        "ds_bpermute_b32" => pull,
        _ => return None,
    })
}
