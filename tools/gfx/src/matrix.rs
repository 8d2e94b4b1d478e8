//! Matrix multiply-add on f32 sums, 32x32, 16x16 and sixteen blocks of 4x4, of bf16, f16 and f32. The registers' layout is that
//! of AMD's instruction set guides and matrix instruction calculator: the lanes are divided evenly among the blocks. With G
//! groups of M lanes a block, lane l of a block holds row (or column) l mod M and the K / G neighbours in k that belong to group
//! l / M; of the sums it holds column l mod M, in fours of neighbouring rows.

use crate::convert::f16_to_f32;
use crate::instruction::{Flow, Instruction, Operand, Place, Run, Step};
use crate::launch::Block;
use crate::wave::{LANES, Wave};

/// Row of sum `register` of a lane.
pub fn row(m: usize, register: usize, lane: usize) -> usize {
    match m {
        32 => 8 * (register / 4) + 4 * (lane / 32) + register % 4,
        16 => 4 * (lane / 16) + register,
        _ => register,
    }
}

pub fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Type of the operands.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Type {
    Bf16,
    F16,
    F32,
}

impl Type {
    fn widen(self, bits: u32) -> f32 {
        match self {
            Type::Bf16 => bf16(bits as u16),
            Type::F16 => f16_to_f32(bits as u16),
            Type::F32 => f32::from_bits(bits),
        }
    }

    /// The least magnitude that is no subnormal.
    fn least(self) -> f32 {
        if self == Type::F16 { 2f32.powi(-14) } else { f32::MIN_POSITIVE }
    }
}

/// Which instruction.
#[derive(Clone, Copy)]
struct Shape {
    /// Rows and columns of a block.
    m: usize,
    k: usize,
    of: Type,
    /// Subnormal operands and sums are zeros: gfx90a, of 16 bits.
    flushes: bool,
}

fn flushed(x: f32, least: f32) -> f32 {
    if x.abs() < least { 0.0f32.copysign(x) } else { x }
}

impl Shape {
    fn lanes_of_a_block(self) -> usize {
        if self.m == 4 { 4 } else { LANES }
    }

    /// An operand as [block][k][row].
    fn matrix(self, w: &Wave, from: &Operand) -> Vec<f32> {
        let (lanes, m) = (self.lanes_of_a_block(), self.m);
        let each = self.k * m / lanes;
        let halves = if self.of == Type::F32 { 1 } else { 2 };
        let mut out = vec![0.0; self.k * m * LANES / lanes];
        for word in 0..each / halves {
            let register = w.raw(from, word);
            for (lane, bits) in register.into_iter().enumerate() {
                for half in 0..halves {
                    let k = lane % lanes / m * each + halves * word + half;
                    let bits = if halves == 2 { bits >> (16 * half) & 0xffff } else { bits };
                    let value = self.of.widen(bits);
                    let value = if self.flushes { flushed(value, self.of.least()) } else { value };
                    out[(lane / lanes * self.k + k) * m + lane % m] = value;
                }
            }
        }
        out
    }

    fn multiply(self, w: &mut Wave, i: &Instruction) -> Step {
        let [to, a, b, c] = i.operands.as_slice() else { return Err("four operands are known".into()) };
        if i.modifiers.formats != [0, 0] {
            return Err("broadcasts of matrix operands are not known".into());
        }
        // The hardware does as if all lanes took part.
        if w.exec() != u64::MAX {
            return Err("a matrix instruction without some of the lanes".into());
        }
        let (m, lanes) = (self.m, self.lanes_of_a_block());
        let (a, b) = (self.matrix(w, a), self.matrix(w, b));
        let registers = m * m / lanes;
        let at = |register: usize, lane: usize| (lane / lanes * m + row(m, register, lane % lanes)) * m + lane % m;
        let flush = |sum: f32| if self.flushes { flushed(sum, f32::MIN_POSITIVE) } else { sum };
        let mut sums = vec![0.0f32; m * m * LANES / lanes];
        for register in 0..registers {
            let before = w.raw(c, if matches!(c.place, Place::Constant(..)) { 0 } else { register });
            for (lane, bits) in before.into_iter().enumerate() {
                sums[at(register, lane)] = flush(f32::from_bits(bits));
            }
        }
        let blocks = sums.chunks_exact_mut(m * m).zip(a.chunks_exact(m * self.k)).zip(b.chunks_exact(m * self.k));
        for ((sums, a), b) in blocks {
            for (a, b) in a.chunks_exact(m).zip(b.chunks_exact(m)) {
                for (sums, a) in sums.chunks_exact_mut(m).zip(a) {
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum += a * b;
                    }
                }
            }
        }
        for register in 0..registers {
            let value = std::array::from_fn(|lane| flush(sums[at(register, lane)]).to_bits());
            w.set_word(to, register, &value)?;
        }
        Ok(Flow::Next)
    }
}

pub fn find(name: &str) -> Option<Run> {
    macro_rules! run {
        ($m:expr, $k:expr, $of:ident, $flushes:expr) => {{
            fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
                Shape { m: $m, k: $k, of: Type::$of, flushes: $flushes }.multiply(w, i)
            }
            run as Run
        }};
    }
    // gfx90a writes them without the last underline.
    Some(match name {
        "v_mfma_f32_32x32x8bf16_1k" => run!(32, 8, Bf16, true),
        "v_mfma_f32_16x16x16bf16_1k" => run!(16, 16, Bf16, true),
        "v_mfma_f32_4x4x4bf16_1k" => run!(4, 4, Bf16, true),
        "v_mfma_f32_32x32x8f16" => run!(32, 8, F16, true),
        "v_mfma_f32_16x16x16f16" => run!(16, 16, F16, true),
        "v_mfma_f32_4x4x4f16" => run!(4, 4, F16, true),
        "v_mfma_f32_32x32x8_bf16" => run!(32, 8, Bf16, false),
        "v_mfma_f32_16x16x16_bf16" => run!(16, 16, Bf16, false),
        "v_mfma_f32_4x4x4_16b_bf16" => run!(4, 4, Bf16, false),
        "v_mfma_f32_32x32x8_f16" => run!(32, 8, F16, false),
        "v_mfma_f32_16x16x16_f16" => run!(16, 16, F16, false),
        "v_mfma_f32_4x4x4_16b_f16" => run!(4, 4, F16, false),
        "v_mfma_f32_32x32x16_bf16" => run!(32, 16, Bf16, false),
        "v_mfma_f32_16x16x32_bf16" => run!(16, 32, Bf16, false),
        "v_mfma_f32_32x32x16_f16" => run!(32, 16, F16, false),
        "v_mfma_f32_16x16x32_f16" => run!(16, 32, F16, false),
        "v_mfma_f32_16x16x4f32" | "v_mfma_f32_16x16x4_f32" => run!(16, 4, F32, false),
        "v_mfma_f32_32x32x2f32" | "v_mfma_f32_32x32x2_f32" => run!(32, 2, F32, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{f32_to_bf16, f32_to_f16};
    use crate::listing::arguments;

    impl Shape {
        fn lanes(self) -> usize {
            if self.m == 4 { 4 } else { 64 }
        }

        fn instruction(self) -> Instruction {
            let (sums, values) = (self.m * self.m / self.lanes(), self.m * self.k / self.lanes());
            let words = if self.of == Type::F32 { values } else { values / 2 };
            let range = |kind: &str, first: usize, count: usize| match count {
                1 => format!("{kind}{first}"),
                _ => format!("{kind}[{first}:{}]", first + count - 1),
            };
            let text = format!("{}, {}, {}, 0", range("a", 0, sums), range("v", 0, words), range("v", 16, words));
            let (operands, modifiers) = arguments("v_mfma", &text).unwrap();
            Instruction {
                run: |_, _, _| Ok(Flow::Next),
                operands,
                modifiers,
                target: 0,
                address: 0,
                text,
                pair: Vec::new(),
            }
        }

        fn narrow(self, x: f32) -> u32 {
            match self.of {
                Type::Bf16 => f32_to_bf16(x).into(),
                Type::F16 => f32_to_f16(x).into(),
                Type::F32 => x.to_bits(),
            }
        }

        /// Register, lowest bit and lane of element (row, k) of a block of A, or (k, column) of B, forwards, as AMD's matrix
        /// instruction calculator answers for these instructions.
        fn source(self, block: usize, i: usize, q: usize) -> (usize, usize, usize) {
            let each = self.k * self.m / self.lanes();
            let lane = self.lanes() * block + i + self.m * (q / each);
            if self.of == Type::F32 { (q % each, 0, lane) } else { (q % each / 2, q % 2 * 16, lane) }
        }

        /// Register and lane of the sum (i, j) of a block.
        fn sum(self, block: usize, i: usize, j: usize) -> (usize, usize) {
            match self.m {
                32 => (4 * (i / 8) + i % 4, j + 32 * (i / 4 % 2)),
                16 => (i % 4, j + 16 * (i / 4)),
                _ => (i, j + 4 * block),
            }
        }

        /// All products of what `a` and `b` say of (block, row or column, k).
        fn product(self, a: impl Fn(usize, usize, usize) -> f32, b: impl Fn(usize, usize, usize) -> f32) -> Wave {
            let mut w = Wave::new(0, LANES, LANES);
            for block in 0..64 / self.lanes() {
                for i in 0..self.m {
                    for q in 0..self.k {
                        let (register, bit, lane) = self.source(block, i, q);
                        for (first, value) in [(0, a(block, i, q)), (16, b(block, i, q))] {
                            let word = &mut w.vector[first + register][lane];
                            let mask = if self.of == Type::F32 { 0 } else { !(0xffff << bit) };
                            *word = (*word & mask) | self.narrow(value) << bit;
                        }
                    }
                }
            }
            self.multiply(&mut w, &self.instruction()).unwrap();
            w
        }
    }

    const SHAPES: [(usize, usize); 5] = [(32, 8), (16, 16), (32, 16), (16, 32), (4, 4)];

    fn shapes() -> impl Iterator<Item = Shape> {
        let narrow =
            SHAPES.into_iter().flat_map(|(m, k)| [Type::Bf16, Type::F16].map(|of| Shape { m, k, of, flushes: false }));
        narrow.chain([(32, 2), (16, 4)].map(|(m, k)| Shape { m, k, of: Type::F32, flushes: false }))
    }

    #[test]
    fn layouts_are_those_of_the_calculator() {
        for shape in shapes() {
            let a = |block: usize, i: usize, q: usize| ((7 * i + 3 * q + block) % 11) as f32 - 5.0;
            let b = |block: usize, j: usize, q: usize| ((5 * j + 2 * q + 3 * block) % 13) as f32 - 6.0;
            let w = shape.product(a, b);
            for block in 0..64 / shape.lanes() {
                for i in 0..shape.m {
                    for j in 0..shape.m {
                        let want: f32 = (0..shape.k).map(|q| a(block, i, q) * b(block, j, q)).sum();
                        let (register, lane) = shape.sum(block, i, j);
                        let got = f32::from_bits(w.vector[256 + register][lane]);
                        assert_eq!(got, want, "{} x {} {:?}: ({block}, {i}, {j})", shape.m, shape.k, shape.of);
                    }
                }
            }
        }
    }

    /// AMD's notes on MI200: matrix instructions of 16 bits flush subnormal operands and results, those of MI300 do not.
    #[test]
    fn gfx90a_flushes_subnormals() {
        let sum = |of, flushes, a: f32, b: f32| {
            let w = Shape { m: 32, k: 8, of, flushes }.product(|_, _, q| if q == 0 { a } else { 0.0 }, |_, _, _| b);
            f32::from_bits(w.vector[256][0])
        };
        for (of, a, b) in [
            (Type::Bf16, 2f32.powi(-130), 2f32.powi(100)), // an operand
            (Type::F16, 2f32.powi(-20), 1.0),
            (Type::Bf16, 2f32.powi(-70), 2f32.powi(-70)), // a result
        ] {
            assert_eq!(sum(of, false, a, b), a * b);
            assert_eq!(sum(of, true, a, b), 0.0);
        }
        assert_eq!(sum(Type::F16, true, 2f32.powi(-14), 1.0), 2f32.powi(-14));
    }

    #[test]
    fn all_lanes_must_take_part() {
        let shape = Shape { m: 32, k: 8, of: Type::Bf16, flushes: false };
        let mut w = Wave::new(0, LANES, 32);
        assert!(shape.multiply(&mut w, &shape.instruction()).is_err());
        assert_eq!(shape.instruction().operands[0].place, Place::Vector(256));
    }
}
