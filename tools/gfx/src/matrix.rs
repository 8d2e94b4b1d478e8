//! Matrix multiply-add on f32 sums, 32x32 and 16x16, of bf16 and f16. The registers' layout is that of AMD's instruction set
//! guides and matrix instruction calculator: with G = 64 / M groups of lanes, lane l holds row (or column) l mod M and the K / G
//! neighbours in k that belong to group l / M; of the sums it holds column l mod M, in fours of neighbouring rows.

use crate::convert::f16_to_f32;
use crate::instruction::{Flow, Instruction, Operand, Run, Step};
use crate::launch::Block;
use crate::wave::{LANES, Wave};

/// Row of sum `register` of a lane.
pub fn row(m: usize, register: usize, lane: usize) -> usize {
    if m == 32 { 8 * (register / 4) + 4 * (lane / 32) + register % 4 } else { 4 * (lane / 16) + register }
}

pub fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// An operand as [k][row].
fn matrix(w: &Wave, from: &Operand, m: usize, k: usize, widen: fn(u16) -> f32) -> Vec<f32> {
    let each = k * m / LANES;
    let mut out = vec![0.0; k * m];
    for word in 0..each / 2 {
        let register = w.raw(from, word);
        for (lane, bits) in register.into_iter().enumerate() {
            let at = (lane / m * each + 2 * word) * m + lane % m;
            out[at] = widen(bits as u16);
            out[at + m] = widen((bits >> 16) as u16);
        }
    }
    out
}

fn multiply(w: &mut Wave, i: &Instruction, m: usize, k: usize, widen: fn(u16) -> f32) -> Step {
    let [to, a, b, c] = i.operands.as_slice() else { return Err("four operands are known".into()) };
    if i.modifiers.formats != [0, 0] {
        return Err("broadcasts of matrix operands are not known".into());
    }
    // The hardware does as if all lanes took part.
    if w.exec() != u64::MAX {
        return Err("a matrix instruction without some of the lanes".into());
    }
    let (a, b) = (matrix(w, a, m, k, widen), matrix(w, b, m, k, widen));
    let registers = m * m / LANES;
    let mut sums = vec![0.0f32; m * m];
    for register in 0..registers {
        let before = match c.place {
            crate::instruction::Place::Constant(..) => w.raw(c, 0),
            _ => w.raw(c, register),
        };
        for (lane, bits) in before.into_iter().enumerate() {
            sums[row(m, register, lane) * m + lane % m] = f32::from_bits(bits);
        }
    }
    for (a, b) in a.chunks_exact(m).zip(b.chunks_exact(m)) {
        for (sums, a) in sums.chunks_exact_mut(m).zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    for register in 0..registers {
        let value = std::array::from_fn(|lane| sums[row(m, register, lane) * m + lane % m].to_bits());
        w.set_word(to, register, &value)?;
    }
    Ok(Flow::Next)
}

pub fn find(name: &str) -> Option<Run> {
    macro_rules! run {
        ($m:expr, $k:expr, $widen:expr) => {{
            fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
                multiply(w, i, $m, $k, $widen)
            }
            run as Run
        }};
    }
    Some(match name {
        "v_mfma_f32_32x32x8_bf16_1k" | "v_mfma_f32_32x32x8bf16_1k" | "v_mfma_f32_32x32x8_bf16" => run!(32, 8, bf16),
        "v_mfma_f32_16x16x16_bf16_1k" | "v_mfma_f32_16x16x16bf16_1k" | "v_mfma_f32_16x16x16_bf16" => run!(16, 16, bf16),
        "v_mfma_f32_32x32x8_f16" | "v_mfma_f32_32x32x8f16" => run!(32, 8, f16_to_f32),
        "v_mfma_f32_16x16x16_f16" | "v_mfma_f32_16x16x16f16" => run!(16, 16, f16_to_f32),
        "v_mfma_f32_32x32x16_bf16" => run!(32, 16, bf16),
        "v_mfma_f32_16x16x32_bf16" => run!(16, 32, bf16),
        "v_mfma_f32_32x32x16_f16" => run!(32, 16, f16_to_f32),
        "v_mfma_f32_16x16x32_f16" => run!(16, 32, f16_to_f32),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{f32_to_bf16, f32_to_f16};
    use crate::instruction::Place;
    use crate::listing::arguments;

    fn instruction(m: usize, k: usize) -> Instruction {
        let (sums, words) = (m * m / LANES, m * k / LANES / 2);
        let range = |kind: &str, first: usize, count: usize| format!("{kind}[{first}:{}]", first + count - 1);
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

    /// Register, half and lane of element (row, k) of A, or (k, column) of B, forwards, as AMD's matrix instruction calculator
    /// answers for these instructions.
    fn source(m: usize, k: usize, i: usize, q: usize) -> (usize, usize, usize) {
        let each = k * m / 64;
        (q % each / 2, q % 2, i + m * (q / each))
    }

    /// Register and lane of the sum (i, j).
    fn sum(m: usize, i: usize, j: usize) -> (usize, usize) {
        if m == 32 { (4 * (i / 8) + i % 4, j + 32 * (i / 4 % 2)) } else { (i % 4, j + 16 * (i / 4)) }
    }

    #[test]
    fn layouts_are_those_of_the_calculator() {
        for (m, k) in [(32, 8), (16, 16), (32, 16), (16, 32)] {
            for (narrow, widen) in [(f32_to_bf16 as fn(f32) -> u16, bf16 as fn(u16) -> f32), (f32_to_f16, f16_to_f32)] {
                let a = |i: usize, k: usize| ((7 * i + 3 * k) % 11) as f32 - 5.0;
                let b = |k: usize, j: usize| ((5 * j + 2 * k) % 13) as f32 - 6.0;
                let mut w = Wave::new(0, LANES, LANES);
                for i in 0..m {
                    for q in 0..k {
                        let (register, half, lane) = source(m, k, i, q);
                        for (first, value) in [(0, a(i, q)), (16, b(q, i))] {
                            let word = &mut w.vector[first + register][lane];
                            *word = (*word & !(0xffff << (16 * half))) | u32::from(narrow(value)) << (16 * half);
                        }
                    }
                }
                multiply(&mut w, &instruction(m, k), m, k, widen).unwrap();
                for i in 0..m {
                    for j in 0..m {
                        let want: f32 = (0..k).map(|q| a(i, q) * b(q, j)).sum();
                        let (register, lane) = sum(m, i, j);
                        assert_eq!(f32::from_bits(w.vector[256 + register][lane]), want, "{m} x {m} x {k}: ({i}, {j})");
                    }
                }
            }
        }
    }

    #[test]
    fn all_lanes_must_take_part() {
        let mut w = Wave::new(0, LANES, 32);
        assert!(multiply(&mut w, &instruction(32, 8), 32, 8, bf16).is_err());
        assert_eq!(instruction(32, 8).operands[0].place, Place::Vector(256));
    }
}
