//! A decoded instruction.

use crate::launch::Block;
use crate::wave::Wave;

/// What happens after an instruction.
pub enum Flow {
    /// The next one.
    Next,
    /// The one of this index.
    Jump(usize),
    /// The wave waits for the others of its block.
    Barrier,
    /// The wave ends.
    End,
}

/// What an instruction did, or what is wrong, in words.
pub type Step = Result<Flow, String>;

/// Runs an instruction.
pub type Run = fn(&mut Wave, &Instruction, &mut Block<'_>) -> Step;

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// A scalar register; vcc, m0 and exec have their numbers.
    Scalar(usize),
    /// A vector register; from 256 on an accumulation register.
    Vector(usize),
    /// A constant, and its upper half where 64 bits are read.
    Constant(u32, u32),
    /// No address.
    Off,
    /// Reads as zero; what is written there is dropped.
    Null,
}

/// Part of a register that sub-dword addressing reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Lowest bit.
    pub shift: u32,
    /// 8, 16 or 32.
    pub bits: u32,
}

impl Part {
    /// All of it.
    pub const WHOLE: Part = Part { shift: 0, bits: 32 };
    /// Its low half.
    pub const LOW: Part = Part { shift: 0, bits: 16 };
    /// Its high half.
    pub const HIGH: Part = Part { shift: 16, bits: 16 };
}

/// An operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operand {
    /// Where it is.
    pub place: Place,
    /// Registers it takes.
    pub count: usize,
    /// `-x`.
    pub negative: bool,
    /// `|x|`.
    pub absolute: bool,
    /// `sext(x)`.
    pub extended: bool,
    /// The part read.
    pub part: Part,
}

impl Operand {
    /// All of a place, as it is.
    pub fn plain(place: Place, count: usize) -> Self {
        Operand { place, count, negative: false, absolute: false, extended: false, part: Part::WHOLE }
    }
}

/// What follows the operands.
#[derive(Clone, Debug, Default)]
pub struct Modifiers {
    /// Bytes added to an address.
    pub offset: i64,
    /// Of instructions with two offsets.
    pub offsets: [u32; 2],
    /// Which half each source's low result reads (`op_sel`).
    pub low: [u8; 3],
    /// Which half each source's high result reads (`op_sel_hi`).
    pub high: [u8; 3],
    /// Sources negated for the low result.
    pub negative_low: [u8; 3],
    /// Sources negated for the high result.
    pub negative_high: [u8; 3],
    /// Results limited to 0 .. 1.
    pub clamp: bool,
    /// Part of the destination written by sub-dword addressing.
    pub destination: Option<(Part, Unused)>,
    /// Truth table of `v_bitop3_b32` and `v_bitop3_b16`.
    pub truth_table: u32,
    /// How many may still be under way: of vector memory, of LDS with scalar memory, of LDS, of scalar memory.
    pub waits: [Option<u32>; 4],
    /// Formats of matrix operands.
    pub formats: [u32; 2],
}

/// What sub-dword addressing does with the rest of a destination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unused {
    /// Zeros.
    Pad,
    /// The sign.
    Extend,
    /// What was there.
    Preserve,
}

/// An instruction, decoded.
pub struct Instruction {
    /// What it does.
    pub run: Run,
    /// Its operands, results first.
    pub operands: Vec<Operand>,
    /// What follows them.
    pub modifiers: Modifiers,
    /// Index of the instruction that a branch goes to.
    pub target: usize,
    /// Address in the code object.
    pub address: u64,
    /// Its text, for messages.
    pub text: String,
    /// The two that it is made of, where it is two: both read before either writes.
    pub pair: Vec<Instruction>,
}
