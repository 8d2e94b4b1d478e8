//! Operands and bounds of the grouped GEMM and of SwiGLU.

use super::{Bound, Conform, Inputs, U, input, magnitudes, rounds};
use crate::cpu::Cpu;
use crate::dtype::{DType, e4m3};
use crate::error::Error;
use crate::host::HostTensor;
use crate::mxfp4::{self, BLOCK, OpenAi, Tiled};
use crate::op::cases::{Cases, Data};
use crate::op::{Epilogue, GroupedGemmSpec, Op, Swiglu, SwigluSpec, WeightFormat};
use crate::testing::harness::{self, Options, Outputs};
use crate::testing::random::Random;

/// Scale bytes of the k blocks of [`Data::Extreme`]: both ends, and in between.
const SCALES: [u8; 6] = [254, 0, 127, 1, 252, 60];
/// Codes and scales of one tile of [`Tiled`].
const TILE_CODES: usize = 512;
const TILE_BYTES: usize = 544;

impl Conform for GroupedGemmSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let rows = self.gather.map_or(self.rows, |g| g.input_rows);
        let mut inputs = vec![("a", activations(self, rows, data, random)?)];
        weights(self, data, random, &mut inputs)?;
        if let Some(bias) = self.bias {
            inputs.push(("bias", random.reals(bias, &[self.local.count, self.n], -6.0, 2.0)?));
        }
        if self.grouped {
            let owned = self.rows - random.below(self.rows / 4 + 1);
            let mut offsets = vec![0];
            let mut sizes = random.split(owned, self.experts);
            if data == Data::Skewed {
                sizes.fill(0);
                for (i, size) in random.split(owned - owned / 2, 3).into_iter().chain([owned / 2]).enumerate() {
                    sizes[(i + 1) * self.experts / 5] += size;
                }
            }
            for size in sizes {
                offsets.push(offsets.last().copied().unwrap_or(0) + size as i32);
            }
            if data == Data::Faulty {
                (offsets[2], offsets[self.experts]) = (-3, self.rows as i32 + 9);
            }
            inputs.push(("offsets", HostTensor::from_i32(&[self.experts + 1], &offsets)?));
        }
        if let Some(gather) = self.gather {
            let end = gather.input_rows * gather.divide;
            let mut index: Vec<i32> = (0..self.rows).map(|_| random.below(end) as i32).collect();
            if data == Data::Faulty {
                (index[0], index[5], index[6]) = (-1, end as i32, i32::MIN);
            }
            inputs.push(("row_index", HostTensor::from_i32(&[self.rows], &index)?));
        }
        if let Some(combine) = self.combine {
            let slots = combine.tokens * combine.top_k;
            let pick = |r: &mut Random| if r.below(8) == 0 { -1 } else { r.below(self.rows) as i32 };
            let mut row_of: Vec<i32> = (0..slots).map(|_| pick(random)).collect();
            if data == Data::Faulty {
                (row_of[1], row_of[7]) = (self.rows as i32, -2);
            }
            inputs.push(("row_of", HostTensor::from_i32(&[slots], &row_of)?));
            let shape = [combine.tokens, combine.top_k];
            inputs.push(("combine_weight", random.reals(combine.weight, &shape, -6.0, 0.0)?));
        }
        Ok(inputs)
    }

    fn oracle(&self) -> Self {
        GroupedGemmSpec { d: DType::F64, ..*self }
    }

    /// The sums of absolute values, `A = Σ |a| |w| + |bias|`, come from the oracle itself on magnitudes. A row is then off by
    /// `δ = c u A`, SwiGLU carries that on as `through_swiglu` says, and a combine adds its own sum: rows stay
    /// unrounded until then.
    fn bounds(&self, inputs: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let linear = GroupedGemmSpec { epilogue: Epilogue::None, combine: None, d: DType::F64, ..*self };
        let mut positive = magnitudes(inputs)?;
        positive.iter_mut().filter(|(name, _)| *name == "w").try_for_each(|(_, w)| clear_signs(self.weights, w))?;
        let run = |inputs: &Inputs| -> Result<Vec<f64>, Error> {
            Ok(harness::run(&Cpu::oracle(), &linear, inputs, Options::default())?.get("d")?.to_f64())
        };
        let (z, absolute) = (run(inputs)?, run(&positive)?);
        // Kernels may flush a product or a sum that is subnormal in f32.
        let flushed = (self.k + 2) as f64 * f64::from(f32::MIN_POSITIVE);
        let off: Vec<f64> = absolute.iter().map(|a| self.accumulation() * U * a + flushed).collect();
        let (y, off) = match self.epilogue {
            Epilogue::None => (z, off),
            Epilogue::Swiglu(swiglu) => through_swiglu(&swiglu, self.n, &z, &off),
        };
        let Some(combine) = self.combine else { return Ok(vec![("d", Bound::Within(off))]) };
        let row_of = input(inputs, "row_of")?.to_i32().unwrap_or_default();
        let weights = input(inputs, "combine_weight")?.to_f64();
        let width = self.n_out();
        let mut bound = vec![0.0; combine.tokens * width];
        let sum = 2.0 * (combine.top_k as f64 + 1.0) * U;
        for (slot, row) in row_of.iter().enumerate() {
            let Some(row) = usize::try_from(*row).ok().filter(|r| *r < self.rows) else { continue };
            for i in 0..width {
                let (y, off) = (y[row * width + i].abs(), off[row * width + i]);
                // Rows that nobody owns are poison here and contribute zero there.
                if !y.is_nan() {
                    bound[slot / combine.top_k * width + i] += weights[slot].abs() * (off + sum * y);
                }
            }
        }
        Ok(vec![("d", Bound::Within(bound))])
    }

    /// By `mfma_f8` of hip: activations to e4m3.
    fn rounded_by(&self, variant: &str, inputs: &Inputs) -> Result<Option<Inputs>, Error> {
        if !rounds(Self::NAME, variant) {
            return Ok(None);
        }
        let mut inputs = inputs.clone();
        for (_, a) in inputs.iter_mut().filter(|(name, _)| *name == "a") {
            let values: Vec<f64> = a.to_f64().chunks(BLOCK).flat_map(to_e4m3_block).collect();
            *a = HostTensor::from_f64(a.dtype, &a.shape, &values)?;
        }
        Ok(Some(inputs))
    }
}

/// A block with the least power of two by which its largest element is at most 448, from 2^-127 on: an element is then off by a
/// 16th of itself at most, or, below 2^-6 of that power, by 2^-10 of it. All of it fits bf16.
fn to_e4m3_block(block: &[f64]) -> Vec<f64> {
    let largest = block.iter().fold(0.0f64, |m, x| if x.is_finite() { m.max(x.abs()) } else { m });
    let unit = (-127..).map(|e| 2f64.powi(e)).find(|unit| largest <= e4m3::LARGEST * unit).unwrap_or(1.0);
    let round = |x: &f64| if x.is_finite() { f64::from(e4m3::decode(e4m3::encode(x / unit))) * unit } else { f64::NAN };
    block.iter().map(round).collect()
}

/// `y = g σ(αg) (u + o)` of columns that are off by `off`: its value, and by how much it is off.
///
/// `d/dg [g σ(αg)]` is at most 1.1 for every α > 0, so `δy <= 1.1 (|u| + |o|) δg + |g σ| δu + 1.1 δg δu`. Evaluating adds a few
/// roundings, one of `u + o`, and that of the exponential's argument: relative `|αg|` roundings. A σ below the normal numbers
/// of f32 may be zero: its exponential overflows.
fn through_swiglu(swiglu: &Swiglu, width: usize, z: &[f64], off: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (alpha, o) = (swiglu.alpha.0, swiglu.up_offset.0);
    let limit = swiglu.limit.map_or(f64::INFINITY, |l| l.0);
    let (mut ys, mut offs) = (Vec::new(), Vec::new());
    for (z, off) in z.chunks_exact(width).zip(off.chunks_exact(width)) {
        for i in 0..width / 2 {
            let (gate, up) = swiglu.columns(i, width);
            let (g, u) = (z[gate].min(limit), z[up].clamp(-limit, limit));
            let gated = g / (1.0 + (-alpha * g).exp());
            let y = gated * (u + o);
            let evaluated = U * ((8.0 + 2.0 * (alpha * g).abs()) * y.abs() + 2.0 * gated.abs() * (u.abs() + o.abs()));
            let flushed = f64::from(f32::MIN_POSITIVE) * g.abs() * (u.abs() + o.abs());
            let carried = 1.1 * (u.abs() + o.abs() + off[up]) * off[gate] + gated.abs() * off[up];
            ys.push(if z[gate].is_nan() { f64::NAN } else { y });
            offs.push(carried + evaluated + flushed);
        }
    }
    (ys, offs)
}

fn activations(op: &GroupedGemmSpec, rows: usize, data: Data, random: &mut Random) -> Result<HostTensor, Error> {
    if data != Data::Extreme {
        return random.reals(op.a, &[rows, op.k], -8.0, 3.0);
    }
    // As far from 1 as the block scale that they meet, on the other side; within the normal numbers.
    let mut values = Vec::with_capacity(rows * op.k);
    for i in 0..rows * op.k {
        let power = match op.weights {
            WeightFormat::Dense(_) => far_apart(op, i % op.k),
            _ => 127.0 - f64::from(SCALES[i % op.k / BLOCK % SCALES.len()]),
        };
        values.push(random.real(-3.0, 1.0) * power.clamp(-120.0, 124.0).exp2());
    }
    HostTensor::from_f64(op.a, &[rows, op.k], &values)
}

/// Neighbours of a row 60 powers of ten apart, where the types hold that: exponent of element k of `a`, of `w` its negative.
fn far_apart(op: &GroupedGemmSpec, k: usize) -> f64 {
    let wide = |of: DType| of != DType::F16;
    match op.weights {
        WeightFormat::Dense(w) if wide(w) && wide(op.a) => {
            if k.is_multiple_of(2) {
                100.0
            } else {
                -100.0
            }
        }
        _ => 0.0,
    }
}

fn weights(op: &GroupedGemmSpec, data: Data, random: &mut Random, inputs: &mut Inputs) -> Result<(), Error> {
    let (experts, n, k) = (op.local.count, op.n, op.k);
    if let WeightFormat::Dense(dtype) = op.weights {
        if data != Data::Extreme {
            inputs.push(("w", random.reals(dtype, &[experts, n, k], -6.0, 1.0)?));
            return Ok(());
        }
        let value = |i: usize| random.real(-14.0, if far_apart(op, i % k) == 0.0 { 12.0 } else { 4.0 });
        let values: Vec<f64> = (0..experts * n * k).map(value).collect();
        let powers = (0..k).map(|i| (-far_apart(op, i)).exp2()).cycle();
        let values: Vec<f64> = values.into_iter().zip(powers).map(|(v, p)| v * p).collect();
        inputs.push(("w", HostTensor::from_f64(dtype, &[experts, n, k], &values)?));
        return Ok(());
    }
    let groups = k / BLOCK;
    let mut blocks = random.bytes(DType::E2m1x2, &[experts, n, groups, 16])?.bytes.as_slice().to_vec();
    let scale = |i: usize, r: &mut Random| match data {
        Data::Extreme => SCALES[i % groups % SCALES.len()].saturating_sub(r.below(4) as u8),
        _ => (120 + r.below(9)) as u8,
    };
    let scales: Vec<u8> = (0..experts * n * groups).map(|i| scale(i, random)).collect();
    for (block, scale) in blocks.chunks_exact_mut(16).zip(&scales) {
        if *scale >= 253 {
            // Codes above 1.5 would be values that f32 does not hold.
            block.iter_mut().for_each(|b| *b &= 0xbb);
        }
    }
    let all = OpenAi::new(&blocks, &scales, experts * n, k)?;
    match op.weights {
        WeightFormat::Mxfp4Gguf => {
            inputs.push(("w", HostTensor::new(DType::U8, &[experts, n, groups, 17], mxfp4::to_gguf(&all).into())?));
        }
        WeightFormat::Mxfp4Tiled => {
            let tiles = mxfp4::tiled_experts(&blocks, &scales, n, k).collect::<Result<Vec<_>, _>>()?.concat();
            inputs.push(("w", HostTensor::new(DType::U8, &[experts, Tiled::bytes(n, k)], tiles.into())?));
        }
        _ => {
            let shape = [experts, n, groups];
            inputs.push(("w_scales", HostTensor::new(DType::E8m0, &shape, scales.into())?));
            inputs.push(("w", HostTensor::new(DType::E2m1x2, &[experts, n, groups, 16], blocks.into())?));
        }
    }
    Ok(())
}

/// Clears the sign bit of every E2M1 code, wherever the format keeps its scales.
fn clear_signs(format: WeightFormat, w: &mut HostTensor) -> Result<(), Error> {
    let is_code: fn(usize) -> bool = match format {
        WeightFormat::Dense(_) => return Ok(()),
        WeightFormat::Mxfp4 => |_| true,
        WeightFormat::Mxfp4Gguf => |i| i % 17 != 0,
        WeightFormat::Mxfp4Tiled => |i| i % TILE_BYTES < TILE_CODES,
    };
    // Bits 2, 3, 5, 15 and those 16 further up of a tile's words.
    let signs = |i: usize| match (format, i % 2) {
        (WeightFormat::Mxfp4Tiled, 0) => 0x2c,
        (WeightFormat::Mxfp4Tiled, _) => 0x80,
        _ => 0x88,
    };
    let bytes = w.bytes.as_slice().iter().enumerate().map(|(i, b)| if is_code(i) { b & !signs(i) } else { *b });
    *w = HostTensor::new(w.dtype, &w.shape, bytes.collect::<Vec<u8>>().into())?;
    Ok(())
}

impl Conform for SwigluSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let high = if data == Data::Extreme { 12.0 } else { 4.0 };
        Ok(vec![("gate_up", random.reals(self.x, &[self.rows, self.width], -10.0, high)?)])
    }

    fn oracle(&self) -> Self {
        SwigluSpec { out: DType::F64, ..*self }
    }

    /// Evaluation alone: the operands are exact.
    fn bounds(&self, inputs: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let z = input(inputs, "gate_up")?.to_f64();
        let (_, off) = through_swiglu(&self.swiglu, self.width, &z, &vec![0.0; z.len()]);
        // Kernels may flush results that are subnormal in f32.
        let flushed = f64::from(f32::MIN_POSITIVE);
        Ok(vec![("y", Bound::Within(off.iter().map(|o| o + flushed).collect()))])
    }
}
