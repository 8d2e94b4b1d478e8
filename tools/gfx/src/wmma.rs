//! Matrix multiply-add of waves of 32 lanes on f32 sums, 16x16x16, of bf16 and f16. The registers' layouts are those of AMD's
//! instruction set guides and matrix instruction calculator. On gfx11 a lane holds all of row (or column) l mod 16 in eight
//! registers, and both halves of the wave hold the same; on gfx12 each half holds every other four of k, in four registers.

use crate::convert::f16_to_f32;
use crate::instruction::{Flow, Instruction, Operand, Place, Run, Step};
use crate::launch::Block;
use crate::matrix::bf16;
use crate::wave::{Lanes, Wave};

const M: usize = 16;
const LANES: usize = 32;

/// Whose layout it is, as the number of registers of its factors says.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Gfx11,
    Gfx12,
}

impl Layout {
    /// k of the low half of a word.
    fn k(self, word: usize, lane: usize) -> usize {
        match self {
            Layout::Gfx11 => 2 * word,
            Layout::Gfx12 => 8 * (word / 2) + 4 * (lane / M) + 2 * (word % 2),
        }
    }

    /// Row of sum `register`.
    fn row(self, register: usize, lane: usize) -> usize {
        match self {
            Layout::Gfx11 => 2 * register + lane / M,
            Layout::Gfx12 => 8 * (lane / M) + register,
        }
    }
}

/// An operand as [k][row].
fn matrix(w: &Wave, from: &Operand, layout: Layout, widen: fn(u16) -> f32) -> Result<[[f32; M]; M], String> {
    let mut out = [[0.0; M]; M];
    for word in 0..from.count {
        let register = w.raw(from, word);
        if layout == Layout::Gfx11 && register[..M] != register[M..LANES] {
            return Err(format!("word {word} of a factor differs between the halves of the wave"));
        }
        for (lane, bits) in register.into_iter().take(LANES).enumerate() {
            let k = layout.k(word, lane);
            out[k][lane % M] = widen(bits as u16);
            out[k + 1][lane % M] = widen((bits >> 16) as u16);
        }
    }
    Ok(out)
}

fn overlap(a: &Operand, b: &Operand) -> bool {
    match (a.place, b.place) {
        (Place::Vector(first), Place::Vector(second)) => first < second + b.count && second < first + a.count,
        _ => false,
    }
}

fn multiply(w: &mut Wave, i: &Instruction, widen: fn(u16) -> f32) -> Step {
    let [to, a, b, c] = i.operands.as_slice() else { return Err("four operands are known".into()) };
    let layout = match (a.count, b.count, to.count) {
        (8, 8, 8) => Layout::Gfx11,
        (4, 4, 8) => Layout::Gfx12,
        _ => return Err("registers of other numbers than are known".into()),
    };
    // The hardware does as if all lanes took part.
    if w.size != LANES || w.exec() != w.all() {
        return Err("a matrix instruction without some of the lanes".into());
    }
    if overlap(to, a) || overlap(to, b) {
        return Err("the result lies in a factor".into());
    }
    let (a, b) = (matrix(w, a, layout, widen)?, matrix(w, b, layout, widen)?);
    let mut sums = [[0.0f32; M]; M];
    for register in 0..to.count {
        let before = w.raw(c, if matches!(c.place, Place::Constant(..)) { 0 } else { register });
        for (lane, bits) in before.into_iter().take(LANES).enumerate() {
            sums[layout.row(register, lane)][lane % M] = f32::from_bits(bits);
        }
    }
    for (a, b) in a.iter().zip(&b) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    for register in 0..to.count {
        let one = |lane: usize| if lane < LANES { sums[layout.row(register, lane)][lane % M].to_bits() } else { 0 };
        let value: Lanes = std::array::from_fn(one);
        w.set_word(to, register, &value)?;
    }
    Ok(Flow::Next)
}

pub fn find(name: &str) -> Option<Run> {
    fn of_bf16(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
        multiply(w, i, bf16)
    }
    fn of_f16(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
        multiply(w, i, f16_to_f32)
    }
    Some(match name {
        "v_wmma_f32_16x16x16_bf16" => of_bf16,
        "v_wmma_f32_16x16x16_f16" => of_f16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{f32_to_bf16, f32_to_f16};
    use crate::launch::alone;

    const GFX11: (&str, &str) = ("gfx1100", "v[40:47], v[0:7], v[16:23]");
    const GFX12: (&str, &str) = ("gfx1201", "v[40:47], v[0:3], v[16:19]");

    /// Register and lanes of element (i, k) of A, or (k, j) of B, forwards, as AMD's matrix instruction calculator answers.
    fn source(arch: &str, i: usize, k: usize) -> (usize, Vec<usize>) {
        match arch {
            "gfx1100" => (k / 2, vec![i, i + 16]),
            _ => (2 * (k / 8) + k / 2 % 2, vec![16 * (k / 4 % 2) + i]),
        }
    }

    /// Register and lane of the sum (i, j).
    fn sum(arch: &str, i: usize, j: usize) -> (usize, usize) {
        if arch == "gfx1100" { (i / 2, 16 * i % 32 + j) } else { (i % 8, 16 * (i / 8) + j) }
    }

    fn a(i: usize, k: usize) -> f32 {
        ((7 * i + 3 * k) % 11) as f32 - 5.0
    }

    fn b(k: usize, j: usize) -> f32 {
        ((5 * j + 2 * k) % 13) as f32 - 6.0
    }

    fn fill(w: &mut Wave, arch: &str, narrow: fn(f32) -> u16) {
        for i in 0..16 {
            for k in 0..16 {
                let (register, lanes) = source(arch, i, k);
                for lane in lanes {
                    for (first, value) in [(0, a(i, k)), (16, b(k, i))] {
                        let word = &mut w.vector[first + register][lane];
                        *word = (*word & !(0xffff << (16 * (k % 2)))) | u32::from(narrow(value)) << (16 * (k % 2));
                    }
                }
            }
        }
    }

    #[test]
    fn layouts_are_those_of_the_calculator() {
        for (arch, registers) in [GFX11, GFX12] {
            for (name, narrow) in [("bf16", f32_to_bf16 as fn(f32) -> u16), ("f16", f32_to_f16)] {
                let code = [
                    format!("v_wmma_f32_16x16x16_{name} {registers}, 2.0"),
                    format!("v_wmma_f32_16x16x16_{name} {registers}, v[40:47]"),
                ];
                let w = alone(arch, &[&code[0], &code[1]], |w| fill(w, arch, narrow)).unwrap();
                for i in 0..16 {
                    for j in 0..16 {
                        let product: f32 = (0..16).map(|k| a(i, k) * b(k, j)).sum();
                        let (register, lane) = sum(arch, i, j);
                        let got = f32::from_bits(w.vector[40 + register][lane]);
                        assert_eq!(got, 2.0 + 2.0 * product, "{arch} {name}: ({i}, {j})");
                    }
                }
            }
        }
    }

    #[test]
    fn what_the_hardware_does_not_take_is_refused() {
        let one = format!("v_wmma_f32_16x16x16_bf16 {}, 0", GFX11.1);
        let fault = |code: &[&str], prepare: fn(&mut Wave)| {
            let prepare = |w: &mut Wave| {
                fill(w, "gfx1100", f32_to_bf16);
                prepare(w);
            };
            alone("gfx1100", code, prepare).err().unwrap_or_default()
        };
        assert_eq!(fault(&[&one], |_| {}), "");
        assert!(fault(&[&one], |w| w.vector[3][17] ^= 1).contains("halves"));
        assert!(fault(&["s_mov_b32 exec_lo, 1", &one], |_| {}).contains("lanes"));
        let inside = "v_wmma_f32_16x16x16_bf16 v[20:27], v[0:7], v[16:23], 0";
        assert!(fault(&[inside], |_| {}).contains("in a factor"));
    }
}
