//! `v_mfma_scale_f32_32x32x64_f8f6f4` of gfx950, of e4m3 and e2m1 elements: products of blocks of 32 neighbours in k, each times the
//! E8M0 scales of its row of A and its column of B, on f32 sums. Lane l has of row (or column) l mod 32: of e2m1 the 32 neighbours from
//! k = 32 (l / 32) on, of e4m3 16 from 16 (l / 32) on and 16 from 32 behind those; and, whatever the elements, the scale of block
//! l / 32, in the byte that a bit of op_sel and one of op_sel_hi name. As AMD's guide to matrix
//! cores has it.

use crate::instruction::{Flow, Instruction, Operand, Place, Run, Step};
use crate::launch::Block;
use crate::matrix::row;
use crate::wave::{LANES, Wave};

const M: usize = 32;
const K: usize = 64;
/// Elements that share a scale.
const SHARE: usize = 32;

/// Type of the elements of an operand.
#[derive(Clone, Copy, Debug)]
enum Type {
    E4m3,
    E2m1,
}

impl Type {
    fn of(format: u32) -> Result<Self, String> {
        match format {
            0 => Ok(Type::E4m3),
            4 => Ok(Type::E2m1),
            _ => Err(format!("elements of format {format} are not known")),
        }
    }

    fn bits(self) -> usize {
        match self {
            Type::E4m3 => 8,
            Type::E2m1 => 4,
        }
    }

    /// k of element `index` of a lane.
    fn k(self, lane: usize, index: usize) -> usize {
        match self {
            Type::E4m3 => 16 * (lane / M) + 32 * (index / 16) + index % 16,
            Type::E2m1 => 32 * (lane / M) + index,
        }
    }

    fn value(self, bits: u32) -> f64 {
        let (sign, exponent, mantissa, digits, bias) = match self {
            Type::E4m3 if bits & 127 == 127 => return f64::NAN,
            Type::E4m3 => (bits >> 7 & 1, bits >> 3 & 15, bits & 7, 3, 7),
            Type::E2m1 => (bits >> 3 & 1, bits >> 1 & 3, bits & 1, 1, 1),
        };
        let unit = 2f64.powi(exponent.max(1) as i32 - bias - digits);
        let steps = if exponent == 0 { mantissa } else { mantissa + (1 << digits) };
        f64::from(steps) * unit * if sign == 1 { -1.0 } else { 1.0 }
    }
}

/// An operand as [row][k].
fn matrix(w: &Wave, from: &Operand, of: Type) -> Result<Vec<f64>, String> {
    let each = 32 / of.bits();
    if from.count != M / each {
        return Err(format!("{} registers of {of:?}", from.count));
    }
    let mut out = vec![0.0; M * K];
    for word in 0..from.count {
        for (lane, bits) in w.raw(from, word).into_iter().enumerate() {
            for i in 0..each {
                let element = bits >> (of.bits() * i) & ((1 << of.bits()) - 1);
                out[lane % M * K + of.k(lane, each * word + i)] = of.value(element);
            }
        }
    }
    Ok(out)
}

/// Scales as [row][block].
fn scales(w: &Wave, i: &Instruction, source: usize) -> Vec<f64> {
    let byte = u32::from(i.modifiers.low[source] + 2 * i.modifiers.high[source]);
    let mut out = vec![0.0; M * K / SHARE];
    for (lane, word) in w.raw(&i.operands[4 + source], 0).into_iter().enumerate() {
        let scale = word >> (8 * byte) & 255;
        out[lane % M * 2 + lane / M] = if scale == 255 { f64::NAN } else { 2f64.powi(scale as i32 - 127) };
    }
    out
}

fn run(w: &mut Wave, i: &Instruction) -> Step {
    let [to, a, b, c, ..] = i.operands.as_slice() else { return Err("six operands are known".into()) };
    if i.operands.len() != 6 || i.modifiers.low[2] != 0 || i.modifiers.negative_low != [0; 3] {
        return Err("six operands without signs are known".into());
    }
    // The hardware does as if all lanes took part.
    if w.exec() != u64::MAX {
        return Err("a matrix instruction without some of the lanes".into());
    }
    let [of_a, of_b] = [Type::of(i.modifiers.formats[0])?, Type::of(i.modifiers.formats[1])?];
    let (a, b) = (matrix(w, a, of_a)?, matrix(w, b, of_b)?);
    let (a_scales, b_scales) = (scales(w, i, 0), scales(w, i, 1));
    for register in 0..M * M / LANES {
        let before = w.raw(c, if matches!(c.place, Place::Constant(..)) { 0 } else { register });
        let value = std::array::from_fn(|lane| {
            let (r, n) = (row(M, register, lane), lane % M);
            let mut sum = f32::from_bits(before[lane]);
            for block in 0..K / SHARE {
                let of = |x: &[f64], r: usize| x[r * K + block * SHARE..][..SHARE].to_vec();
                let products: f64 = of(&a, r).iter().zip(of(&b, n)).map(|(a, b)| a * b).sum(); // exact
                sum = (f64::from(sum) + products * a_scales[2 * r + block] * b_scales[2 * n + block]) as f32;
            }
            sum.to_bits()
        });
        w.set_word(to, register, &value)?;
    }
    Ok(Flow::Next)
}

/// Two f32 as e4m3, in a half of the register that op_sel names; what is larger than 448 is NaN.
fn narrow(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
    let (low, high) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]));
    let (old, shift) = (w.raw(&i.operands[0], 0), 16 * u32::from(i.modifiers.low[2]));
    if i.modifiers.low[..2] != [0; 2] {
        return Err("sources of halves are not known".into());
    }
    let pair = |l: usize| to_e4m3(f32::from_bits(low[l])) | to_e4m3(f32::from_bits(high[l])) << 8;
    w.finish(i, std::array::from_fn(|l| old[l] & !(0xffff << shift) | pair(l) << shift))
}

/// To nearest, ties to even.
fn to_e4m3(x: f32) -> u32 {
    let sign = x.to_bits() >> 31 << 7;
    let nearest = |code: &u32| (Type::E4m3.value(*code) - f64::from(x.abs())).abs();
    // 480 would be next.
    if x.is_nan() || x.abs() > 464.0 {
        return sign | 127;
    }
    let best = (0..127).min_by(|a, b| nearest(a).total_cmp(&nearest(b)).then((a & 1).cmp(&(b & 1))));
    sign | best.unwrap_or(0)
}

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "v_mfma_scale_f32_32x32x64_f8f6f4" => |w, i, _| run(w, i),
        "v_cvt_pk_fp8_f32" => narrow,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::arguments;

    const TEXT: &str = "a[0:15], v[0:7], v[8:11], 0, v12, v13 op_sel:[1,0,0] op_sel_hi:[0,1,0] blgp:4";

    fn instruction(text: &str) -> Instruction {
        let (operands, modifiers) = arguments("v_mfma_scale_f32_32x32x64_f8f6f4", text).unwrap();
        Instruction {
            run: |_, _, _| Ok(Flow::Next),
            operands,
            modifiers,
            target: 0,
            address: 0,
            text: text.into(),
            pair: Vec::new(),
        }
    }

    /// What AMD's guide stores where, in its example's words: a lane has `a[row][16 half + 32 i + j]` as byte `16 i + j`, and of
    /// e2m1 `b[column][32 half + i]` as nibble i; thread 0 the scale of the first block of row 0, thread 32 that of the second.
    #[test]
    fn layouts_are_those_of_the_guide() {
        let of_a = |r: usize, k: usize| [0x38u32, 0xb8, 0x40, 0x00, 0x44, 0xc8, 0x01][(3 * r + 5 * k) % 7];
        let value_a = |r: usize, k: usize| [1.0f64, -1.0, 2.0, 0.0, 3.0, -4.0, 0.001953125][(3 * r + 5 * k) % 7];
        let of_b = |n: usize, k: usize| [1u32, 2, 10, 7, 0, 13][(n + 7 * k) % 6];
        let value_b = |n: usize, k: usize| [0.5f64, 1.0, -1.0, 6.0, 0.0, -3.0][(n + 7 * k) % 6];
        let (scale_a, scale_b) = (|r: usize, h: usize| 120 + r / 4 + 3 * h, |n: usize, h: usize| 131 - n / 8 - 2 * h);
        let mut w = Wave::new(0, LANES, LANES);
        for lane in 0..LANES {
            let (r, half) = (lane % 32, lane / 32);
            for word in 0..8 {
                let byte = |b: usize| of_a(r, 16 * half + 32 * (word / 4) + word % 4 * 4 + b) << (8 * b);
                w.vector[word][lane] = (0..4).map(byte).sum();
            }
            for word in 0..4 {
                w.vector[8 + word][lane] = (0..8).map(|i| of_b(r, 32 * half + 8 * word + i) << (4 * i)).sum();
            }
            // Byte 1 of A's, byte 2 of B's; NaN in the others.
            w.vector[12][lane] = 0xffff_00ff | (scale_a(r, half) as u32) << 8;
            w.vector[13][lane] = 0xff00_ffff | (scale_b(r, half) as u32) << 16;
        }
        run(&mut w, &instruction(TEXT)).unwrap();
        for r in 0..32 {
            for n in 0..32 {
                let term = |k: usize| {
                    let scale = 2f64.powi((scale_a(r, k / 32) + scale_b(n, k / 32)) as i32 - 254);
                    value_a(r, k) * value_b(n, k) * scale
                };
                let want: f64 = (0..64).map(term).sum();
                // Of the sums lane l has column l mod 32, in fours of rows.
                let (register, lane) = (4 * (r / 8) + r % 4, n + 32 * (r / 4 % 2));
                let got = f32::from_bits(w.vector[256 + register][lane]);
                assert_eq!(got, want as f32, "({r}, {n})");
            }
        }
    }

    #[test]
    fn elements_are_those_of_the_formats() {
        let all = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
        (0..16).for_each(|c| assert_eq!(Type::E2m1.value(c).abs(), all[c as usize % 8], "{c}"));
        assert_eq!([0x08, 0x07, 0x7e, 0xb8].map(|c| Type::E4m3.value(c)), [0.015625, 0.013671875, 448.0, -1.0]);
        (0..127).for_each(|c| assert_eq!(to_e4m3(Type::E4m3.value(c) as f32), c));
        assert_eq!([1.0625, 1.1875, 464.0, -465.0, f32::INFINITY].map(to_e4m3), [0x38, 0x3a, 0x7e, 0xff, 0x7f]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let mut w = Wave::new(0, LANES, LANES);
        assert!(run(&mut w, &instruction(&TEXT.replace("blgp:4", "blgp:2"))).is_err());
        assert!(run(&mut w, &instruction(&TEXT.replace("v[8:11]", "v[8:15]"))).is_err());
        assert!(run(&mut Wave::new(0, LANES, 32), &instruction(TEXT)).is_err());
    }
}
