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

fn bf16(bits: u16) -> f32 {
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
