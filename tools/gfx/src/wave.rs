//! The registers of a wave.

use crate::instruction::{Flow, Instruction, Operand, Part, Place, Step, Unused};
use crate::waits::{LdsAccess, Waits};

/// Most lanes of a wave.
pub const LANES: usize = 64;
/// A value a lane.
pub type Lanes = [u32; LANES];

/// Numbers of scalar registers with names.
pub const VCC: usize = 106;
/// The first of the registers that the dispatcher fills.
pub const TTMP: usize = 108;
/// As above.
pub const M0: usize = 124;
/// As above.
pub const EXEC: usize = 126;

/// What registers and LDS hold before they are written: no number as f32, bf16 or f16, a negative integer, no address.
pub const POISON: u32 = 0xfff1_fff1;

/// A wave.
pub struct Wave {
    /// Its number in the block.
    pub id: usize,
    /// Its lanes: 64, or 32 on gfx11 and gfx12. The rest of its registers' lanes are never enabled.
    pub size: usize,
    /// Scalar registers.
    pub scalar: [u32; 128],
    /// Vector registers, then accumulation registers.
    pub vector: Vec<Lanes>,
    /// The scalar condition.
    pub condition: bool,
    /// Index of the next instruction.
    pub next: usize,
    /// It has ended.
    pub done: bool,
    /// Lanes that have a thread.
    pub threads: u64,
    /// Loads under way.
    pub waits: Waits,
    /// LDS accesses that were under way when it told the others that it is at the barrier; none while it is at none.
    pub signalled: Option<Vec<LdsAccess>>,
    /// Instructions run.
    pub count: u64,
}

impl Wave {
    /// Wave `id` of a block, of `size` lanes, the first `lanes` of them with threads; registers hold poison.
    pub fn new(id: usize, size: usize, lanes: usize) -> Self {
        let threads = u64::MAX >> (LANES - lanes.min(size));
        let mut wave = Wave {
            id,
            size,
            scalar: [POISON; 128],
            vector: vec![[POISON; LANES]; 512],
            condition: false,
            next: 0,
            done: false,
            threads,
            waits: Waits::new(size < LANES),
            signalled: None,
            count: 0,
        };
        wave.set_pair(EXEC, threads);
        wave
    }

    /// Lanes that take part.
    pub fn exec(&self) -> u64 {
        self.pair(EXEC) & self.all()
    }

    /// A bit of each of its lanes.
    pub fn all(&self) -> u64 {
        u64::MAX >> (LANES - self.size)
    }

    /// The mask that comparisons write where nothing else is named.
    pub fn vcc(&self) -> u64 {
        self.pair(VCC) & self.all()
    }

    /// Tells the others that it is at the barrier.
    pub fn signal(&mut self) {
        self.signalled = Some(self.waits.late().cloned().collect());
    }

    /// Two scalar registers.
    pub fn pair(&self, at: usize) -> u64 {
        u64::from(self.scalar[at]) | u64::from(self.scalar[at + 1]) << 32
    }

    /// Writes two scalar registers.
    pub fn set_pair(&mut self, at: usize, value: u64) {
        (self.scalar[at], self.scalar[at + 1]) = (value as u32, (value >> 32) as u32);
    }

    /// An operand of a scalar instruction.
    pub fn scalar_of(&self, operand: &Operand) -> Result<u32, String> {
        match operand.place {
            Place::Scalar(at) => Ok(self.scalar[at]),
            Place::Constant(value, _) => Ok(value),
            Place::Null => Ok(0),
            _ => Err("a vector register where a scalar is wanted".into()),
        }
    }

    /// The same, of 64 bits.
    pub fn scalar_pair_of(&self, operand: &Operand) -> Result<u64, String> {
        match operand.place {
            Place::Scalar(at) if operand.count == 2 => Ok(self.pair(at)),
            Place::Constant(low, high) => Ok(u64::from(low) | u64::from(high) << 32),
            Place::Null => Ok(0),
            _ => Err("one register where two are wanted".into()),
        }
    }

    /// Writes a scalar result.
    pub fn set_scalar(&mut self, operand: &Operand, value: u32) -> Result<(), String> {
        match operand.place {
            Place::Scalar(at) => self.scalar[at] = value,
            Place::Null => {}
            _ => return Err("the result is no scalar register".into()),
        }
        Ok(())
    }

    /// Writes a scalar result of 64 bits.
    pub fn set_scalar_pair(&mut self, operand: &Operand, value: u64) -> Result<(), String> {
        match operand.place {
            Place::Scalar(at) if operand.count == 2 => self.set_pair(at, value),
            Place::Scalar(_) => return Err("the result is one register, two are wanted".into()),
            Place::Null => {}
            _ => return Err("the result is no scalar register".into()),
        }
        Ok(())
    }

    /// A bit a lane: a pair of scalar registers, or one where the wave has 32 lanes.
    pub fn mask_of(&self, operand: &Operand) -> Result<u64, String> {
        if self.size == LANES {
            return self.scalar_pair_of(operand);
        }
        match operand.count {
            1 => self.scalar_of(operand).map(u64::from),
            _ => Err("two registers for a mask of 32 lanes".into()),
        }
    }

    /// Writes a bit a lane.
    pub fn set_mask(&mut self, operand: &Operand, value: u64) -> Result<(), String> {
        if self.size == LANES {
            return self.set_scalar_pair(operand, value);
        }
        match operand.count {
            1 => self.set_scalar(operand, value as u32),
            _ => Err("two registers for a mask of 32 lanes".into()),
        }
    }

    /// Register `word` of an operand, as it is stored.
    pub fn raw(&self, operand: &Operand, word: usize) -> Lanes {
        match operand.place {
            Place::Vector(at) => self.vector[at + word],
            Place::Scalar(at) => [self.scalar[at + word]; LANES],
            Place::Constant(low, high) => [if word == 0 { low } else { high }; LANES],
            Place::Off | Place::Null => [0; LANES],
        }
    }

    /// An operand of 32 bits: the part of it that is addressed, with its sign changed as for an f32.
    pub fn lanes(&self, operand: &Operand) -> Lanes {
        let mut out = self.raw(operand, 0);
        let Part { shift, bits } = operand.part;
        if bits < 32 {
            let up = 32 - bits - shift;
            match operand.extended {
                true => out.iter_mut().for_each(|x| *x = ((*x << up) as i32 >> (up + shift)) as u32),
                false => out.iter_mut().for_each(|x| *x = *x << up >> (up + shift)),
            }
        }
        let sign = if bits < 32 { 1 << (bits - 1) } else { 1 << 31 };
        if operand.absolute {
            out.iter_mut().for_each(|x| *x &= !sign);
        }
        if operand.negative {
            out.iter_mut().for_each(|x| *x ^= sign);
        }
        out
    }

    /// An operand of 64 bits.
    pub fn wide(&self, operand: &Operand) -> [u64; LANES] {
        let (low, high) = (self.raw(operand, 0), self.raw(operand, 1));
        std::array::from_fn(|l| u64::from(low[l]) | u64::from(high[l]) << 32)
    }

    /// Writes register `at` in the lanes that take part.
    pub fn set_register(&mut self, at: usize, value: &Lanes) {
        let (exec, all) = (self.exec(), self.all());
        let to = &mut self.vector[at];
        if exec == all {
            *to = *value;
            return;
        }
        for l in 0..LANES {
            let mask = 0u32.wrapping_sub((exec >> l & 1) as u32);
            to[l] = (to[l] & !mask) | (value[l] & mask);
        }
    }

    /// Writes register `word` of a result.
    pub fn set_word(&mut self, operand: &Operand, word: usize, value: &Lanes) -> Result<(), String> {
        let Place::Vector(at) = operand.place else { return Err("the result is no vector register".into()) };
        self.set_register(at + word, value);
        Ok(())
    }

    /// Writes the first operand.
    pub fn finish(&mut self, i: &Instruction, mut value: Lanes) -> Step {
        if i.modifiers.clamp {
            return Err("clamp is not known of this instruction".into());
        }
        if let Some((part, rest)) = i.modifiers.destination {
            let old = self.raw(&i.operands[0], 0);
            for (new, old) in value.iter_mut().zip(old) {
                *new = merge(*new, old, part, rest);
            }
        }
        self.set_word(&i.operands[0], 0, &value)?;
        Ok(Flow::Next)
    }

    /// Writes the first operand, 64 bits.
    pub fn finish_wide(&mut self, i: &Instruction, value: &[u64; LANES]) -> Step {
        self.set_word(&i.operands[0], 0, &value.map(|x| x as u32))?;
        self.set_word(&i.operands[0], 1, &value.map(|x| (x >> 32) as u32))?;
        Ok(Flow::Next)
    }
}

fn merge(new: u32, old: u32, Part { shift, bits }: Part, rest: Unused) -> u32 {
    if bits == 32 {
        return new;
    }
    let mask = ((1 << bits) - 1) << shift;
    let placed = new << shift & mask;
    match rest {
        Unused::Pad => placed,
        Unused::Preserve => placed | (old & !mask),
        Unused::Extend => ((new << (32 - bits)) as i32 >> (32 - bits - shift)) as u32 & !((1u32 << shift) - 1),
    }
}
