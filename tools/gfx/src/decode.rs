//! From lines of the disassembly to instructions.

use crate::instruction::{Instruction, Place, Run};
use crate::listing::{Line, arguments};
use crate::{branch, compare, convert, divide, float, global, integer, lanes, lds, matrix, packed, scalar, wide};
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

const FAMILIES: [Family; 13] = [
    family(branch::find, false, false),
    family(scalar::find, false, false),
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
];

impl Program {
    /// Decodes a listing.
    ///
    /// # Errors
    /// The instruction that is not known, and where it is.
    pub fn new(lines: &[Line<'_>]) -> Result<Self, String> {
        let at: HashMap<u64, usize> = lines.iter().enumerate().map(|(i, l)| (l.address, i)).collect();
        let mut instructions = Vec::with_capacity(lines.len());
        for line in lines {
            let said = |e: String| format!("{:#x}: {} {}: {e}", line.address, line.name, line.arguments);
            instructions.push(decode(line, &at).map_err(said)?);
        }
        Ok(Program { instructions, at })
    }

    /// Index of the instruction at an address.
    pub fn index(&self, address: u64) -> Option<usize> {
        self.at.get(&address).copied()
    }
}

fn decode(line: &Line<'_>, at: &HashMap<u64, usize>) -> Result<Instruction, String> {
    let text = format!("{} {}", line.name, line.arguments);
    let mut new = Instruction {
        run: |_, _, _| Err("not decoded".into()),
        operands: Vec::new(),
        modifiers: Default::default(),
        target: 0,
        address: line.address,
        text,
    };
    let base = ["_e32", "_e64", "_sdwa"].iter().find_map(|s| line.name.strip_suffix(s)).unwrap_or(line.name);
    let family = FAMILIES.iter().find_map(|f| (f.find)(base).map(|run| (f, run)));
    let (family, run) = family.ok_or("is not known")?;
    new.run = run;
    if line.name.starts_with("s_branch") || line.name.starts_with("s_cbranch") {
        new.target = target(line, at)?;
        return Ok(new);
    }
    if matches!(line.name, "s_nop" | "s_endpgm" | "s_barrier" | "s_sleep" | "s_setprio") {
        return Ok(new);
    }
    (new.operands, new.modifiers) = arguments(line.name, line.arguments)?;
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

/// Branches count in words from the next instruction on.
fn target(line: &Line<'_>, at: &HashMap<u64, usize>) -> Result<usize, String> {
    let words: i64 = line.arguments.parse().map_err(|_| "no distance")?;
    let words = i64::from(words as u16 as i16);
    let to = line.address.wrapping_add_signed(4 + 4 * words);
    at.get(&to).copied().ok_or_else(|| format!("branches to {to:#x}, where no instruction starts"))
}
