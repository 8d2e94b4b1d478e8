//! From lines of the disassembly to instructions.

use crate::instruction::{Instruction, Operand, Part, Place, Run, Unused};
use crate::listing::{Line, arguments};
use crate::wave::{EXEC, VCC};
use crate::{
    branch, compare, convert, divide, dual, float, global, integer, lanes, lds, matrix, matrix_scaled, packed, scalar,
    scalar_float, wide, wmma,
};
use std::collections::HashMap;

/// The instructions of a code object.
pub struct Program {
    /// All of them, in order.
    pub instructions: Vec<Instruction>,
    at: HashMap<u64, usize>,
}

/// A family of instructions: how one is found by its name, and which modifiers of sources it knows.
struct Family {
    find: fn(&str) -> Option<Run>,
    signs: bool,
    halves: bool,
}

const fn family(find: fn(&str) -> Option<Run>, signs: bool, halves: bool) -> Family {
    Family { find, signs, halves }
}

const FAMILIES: [Family; 16] = [
    family(branch::find, false, false),
    family(scalar::find, false, false),
    family(scalar_float::find, false, false),
    family(integer::find, false, false),
    family(wide::find, false, false),
    family(float::find, true, false),
    family(divide::find, true, false),
    family(convert::find, true, false),
    family(compare::find, true, false),
    family(packed::find, false, true),
    family(lanes::find, false, false),
    family(global::find, false, false),
    family(lds::find, false, false),
    family(matrix::find, false, false),
    family(matrix_scaled::find, true, true),
    family(wmma::find, false, false),
];

/// Instructions whose operands change nothing here.
const NO_OPERANDS: [&str; 15] = [
    "s_nop",
    "s_endpgm",
    "s_code_end",
    "s_barrier",
    "s_sleep",
    "s_setprio",
    "s_clause",
    "s_delay_alu",
    "s_set_inst_prefetch_distance",
    "s_waitcnt_depctr",
    "s_wait_alu",
    "buffer_gl0_inv",
    "global_inv",
    "s_waitcnt_vscnt",
    "s_wait_storecnt",
];

/// Instructions that are known with these operands alone.
const ONE_MEANING: [(&str, &str); 3] = [
    ("s_barrier_signal", "-1"), // the barrier of the block, among others
    ("s_barrier_wait", "0xffff"),
    ("s_sendmsg", "sendmsg(MSG_DEALLOC_VGPRS)"),
];

impl Program {
    /// Decodes a listing for a target.
    ///
    /// # Errors
    /// The instruction that is not known, and where it is.
    pub fn new(lines: &[Line<'_>], arch: &str) -> Result<Self, String> {
        let at: HashMap<u64, usize> = lines.iter().enumerate().map(|(i, l)| (l.address, i)).collect();
        let mut instructions = Vec::with_capacity(lines.len());
        for line in lines {
            let said = |e: String| format!("{:#x}: {} {}: {e}", line.address, line.name, line.arguments);
            instructions.push(decode(line, &at, !arch.starts_with("gfx9")).map_err(said)?);
        }
        Ok(Program { instructions, at })
    }

    /// Index of the instruction at an address.
    pub fn index(&self, address: u64) -> Option<usize> {
        self.at.get(&address).copied()
    }
}

/// `rdna` says that it is an instruction of gfx11 or gfx12.
fn decode(line: &Line<'_>, at: &HashMap<u64, usize>, rdna: bool) -> Result<Instruction, String> {
    let text = format!("{} {}", line.name, line.arguments);
    let mut new = Instruction {
        run: |_, _, _| Err("not decoded".into()),
        operands: Vec::new(),
        modifiers: Default::default(),
        target: 0,
        address: line.address,
        text,
        pair: Vec::new(),
    };
    if let Some((first, second)) = line.arguments.split_once("::") {
        let first = Line { address: line.address, name: line.name, arguments: first.trim() };
        let (name, arguments) = second.trim().split_once(' ').ok_or("has no second half")?;
        let second = Line { address: line.address, name, arguments };
        for half in [first, second] {
            let name = format!("v_{}", half.name.strip_prefix("v_dual_").ok_or("is not known as one of two")?);
            new.pair.push(decode(&Line { name: &name, ..half }, at, rdna)?);
        }
        new.operands = new.pair.iter().flat_map(|half| half.operands.clone()).collect();
        new.run = dual::run;
        return Ok(new);
    }
    let base = ["_e32", "_e64", "_sdwa"].iter().find_map(|s| line.name.strip_suffix(s)).unwrap_or(line.name);
    let family = FAMILIES.iter().find_map(|f| (f.find)(base).map(|run| (f, run)));
    let (family, run) = family.ok_or("is not known")?;
    new.run = run;
    if line.name.starts_with("s_branch") || line.name.starts_with("s_cbranch") {
        new.target = target(line, at)?;
        return Ok(new);
    }
    if NO_OPERANDS.contains(&line.name) {
        return Ok(new);
    }
    if let Some((_, wanted)) = ONE_MEANING.iter().find(|(name, _)| *name == line.name) {
        return if line.arguments == *wanted { Ok(new) } else { Err("means something that is not known".into()) };
    }
    (new.operands, new.modifiers) = arguments(line.name, line.arguments)?;
    if rdna {
        implied(base, &mut new)?;
    } else if base.starts_with("v_cmpx_") {
        return Err("is known of gfx11 and gfx12 alone".into());
    }
    let m = &new.modifiers;
    if !family.signs && new.operands.iter().any(|o| o.negative || o.absolute) {
        return Err("does not know changed signs".into());
    }
    if !family.halves && (m.low != [0; 3] || m.high != [1; 3] || m.negative_low != [0; 3] || m.negative_high != [0; 3])
    {
        return Err("does not know halves".into());
    }
    if new.operands.first().is_some_and(|o| matches!(o.place, Place::Constant(..))) && !line.name.starts_with("s_") {
        return Err("writes a constant".into());
    }
    Ok(new)
}

/// What gfx11 and gfx12 do not write down.
fn implied(base: &str, i: &mut Instruction) -> Result<(), String> {
    let scalar = |register| Operand::plain(Place::Scalar(register), 1);
    match base {
        // They write exec, and only that.
        _ if base.starts_with("v_cmpx_") => i.operands.insert(0, scalar(EXEC)),
        // As one of two.
        "v_cndmask_b32" if i.operands.len() == 3 => i.operands.push(scalar(VCC)),
        _ => {}
    }
    let Some(to) = i.operands.first_mut() else { return Ok(()) };
    // Results of 16 bits leave the other half of the register alone.
    if integer::short(base).is_some() || base == "v_cvt_f16_f32" {
        let half = if to.part == Part::WHOLE { Part::LOW } else { to.part };
        i.modifiers.destination = Some((half, Unused::Preserve));
        to.part = Part::WHOLE;
    }
    if to.part != Part::WHOLE {
        return Err("writes half a register".into());
    }
    Ok(())
}

/// Branches count in words from the next instruction on.
fn target(line: &Line<'_>, at: &HashMap<u64, usize>) -> Result<usize, String> {
    let words: i64 = line.arguments.parse().map_err(|_| "no distance")?;
    let words = i64::from(words as u16 as i16);
    let to = line.address.wrapping_add_signed(4 + 4 * words);
    at.get(&to).copied().ok_or_else(|| format!("branches to {to:#x}, where no instruction starts"))
}
