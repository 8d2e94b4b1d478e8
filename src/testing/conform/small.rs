//! Operands and bounds of the small ops.

use super::{Bound, Conform, Inputs, U, input};
use crate::dtype::{DType, Scalar};
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::cases::{Cases, Data};
use crate::op::{ArgmaxSpec, EmbeddingSpec, KvAppendSpec, Pairing, RmsNormSpec, RopeSpec, YarnRope};
use crate::testing::harness::Outputs;
use crate::testing::random::Random;

use super::attention::scales;

impl Conform for RmsNormSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        // Squares must stay in f32, and their sum too.
        let (low, high): (f64, f64) = if data == Data::Extreme { (-60.0, 50.0) } else { (-8.0, 4.0) };
        let (low, high) = if self.x == DType::F16 { (low.max(-14.0), high.min(14.0)) } else { (low, high) };
        let rows = [self.rows, self.dim];
        let mut x: Vec<f64> = (0..self.rows * self.dim).map(|_| random.real(low, high)).collect();
        if data == Data::Extreme {
            // A row of zeros: the norm is eps alone.
            x.iter_mut().take(self.dim).for_each(|x| *x = 0.0);
        }
        let mut inputs = vec![("x", HostTensor::from_f64(self.x, &rows, &x)?)];
        inputs.push(("weight", random.reals(self.weight, &[self.dim], -3.0, 2.0)?));
        if self.residual {
            inputs.push(("residual", random.reals(self.x, &rows, low, high)?));
        }
        Ok(inputs)
    }

    fn oracle(&self) -> Self {
        RmsNormSpec { out: DType::F64, ..*self }
    }

    /// All terms of the sum are positive, so the mean is relatively off by `c u`, its root by half of that; then a square
    /// root, a division, two products. The residual sum is rounded to x's type, in f32 first: where that falls on a
    /// tie it may be one unit off, which `y` inherits.
    fn bounds(&self, inputs: &Inputs, oracle: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let sum = if self.residual { 2.0 * self.x.unit_roundoff() } else { 0.0 };
        let relative = (self.accumulation() / 2.0 + 8.0) * U + sum;
        let flushed = f64::from(f32::MIN_POSITIVE);
        let y = oracle.get("y")?.to_f64().iter().map(|y| relative * y.abs() + flushed).collect();
        let mut bounds = vec![("y", Bound::Within(y))];
        if self.residual {
            let (x, r) = (input(inputs, "x")?.to_f64(), input(inputs, "residual")?.to_f64());
            bounds.push(("sum", Bound::Within(x.iter().zip(r).map(|(x, r)| U * (x.abs() + r.abs())).collect())));
        }
        Ok(bounds)
    }
}

/// Cosines and sines of positions `0..positions`, and as many random positions as there are tokens.
fn table(
    head_dim: usize,
    positions: usize,
    dtype: DType,
    tokens: usize,
    data: Data,
    random: &mut Random,
) -> Result<Inputs, Error> {
    let rope = YarnRope {
        head_dim,
        theta: Scalar(150000.0),
        factor: Scalar(32.0),
        beta_fast: Scalar(32.0),
        beta_slow: Scalar(1.0),
        original: 4096,
        truncate: false,
    };
    let table = rope.table(0..positions as i64);
    let shape = [positions, head_dim / 2];
    let mut at: Vec<i32> = (0..tokens).map(|_| random.below(positions) as i32).collect();
    if data == Data::Faulty {
        for (at, bad) in at.iter_mut().step_by(2).zip([-1, positions as i32, i32::MIN]) {
            *at = bad;
        }
    }
    Ok(vec![
        ("positions", HostTensor::from_i32(&[tokens], &at)?),
        ("cos", HostTensor::from_f64(dtype, &shape, &table.cos)?),
        ("sin", HostTensor::from_f64(dtype, &shape, &table.sin)?),
    ])
}

/// `c u (|a cos| + |b sin|)` of every element of rotated heads.
fn rotation(
    inputs: &Inputs,
    name: &str,
    heads: usize,
    dim: usize,
    pairing: Pairing,
    c: f64,
) -> Result<Vec<f64>, Error> {
    let x = input(inputs, name)?.to_f64();
    let (cos, sin) = (input(inputs, "cos")?.to_f64(), input(inputs, "sin")?.to_f64());
    let positions = input(inputs, "positions")?.to_i32().unwrap_or_default();
    let mut bound = vec![0.0; x.len()];
    for (head, x) in x.chunks_exact(dim).enumerate() {
        for i in 0..dim / 2 {
            let at = usize::try_from(positions[head / heads]).unwrap_or(usize::MAX).saturating_mul(dim / 2);
            let at = at.saturating_add(i);
            let (a, b) = pairing.pair(i, dim);
            // A bad position gives zeros, exactly.
            let (Some(cos), Some(sin)) = (cos.get(at), sin.get(at)) else { continue };
            bound[head * dim + a] = c * U * (x[a] * cos).abs() + c * U * (x[b] * sin).abs();
            bound[head * dim + b] = c * U * (x[b] * cos).abs() + c * U * (x[a] * sin).abs();
        }
    }
    Ok(bound)
}

impl Conform for RopeSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let mut inputs = table(self.head_dim, self.positions, self.table, self.tokens, data, random)?;
        inputs.push(("x", random.reals(self.x, &[self.tokens, self.heads, self.head_dim], -8.0, 4.0)?));
        Ok(inputs)
    }

    fn oracle(&self) -> Self {
        RopeSpec { out: DType::F64, ..*self }
    }

    fn bounds(&self, inputs: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let y = rotation(inputs, "x", self.heads, self.head_dim, self.pairing, self.accumulation())?;
        Ok(vec![("y", Bound::Within(y))])
    }
}

impl Conform for KvAppendSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let mut inputs = table(self.head_dim, self.positions, self.table, self.tokens, data, random)?;
        let kv = [self.tokens, self.kv_heads, self.head_dim];
        inputs.push(("k", random.reals(self.x, &kv, -8.0, 4.0)?));
        inputs.push(("v", random.reals(self.x, &kv, -8.0, 4.0)?));
        if self.q_heads > 0 {
            inputs.push(("q", random.reals(self.x, &[self.tokens, self.q_heads, self.head_dim], -8.0, 4.0)?));
        }
        if self.scales {
            inputs.extend(scales(self.kv_heads, random)?);
        }
        let mut free: Vec<i32> = (0..self.store.slots() as i32).collect();
        random.shuffle(&mut free);
        let mut slots: Vec<i32> = free.into_iter().take(self.tokens).collect();
        slots.iter_mut().skip(3).step_by(4).for_each(|s| *s = -1);
        if data == Data::Faulty {
            for (slot, bad) in slots.iter_mut().skip(1).step_by(4).zip([-2, self.store.slots() as i32, i32::MAX]) {
                *slot = bad;
            }
        }
        inputs.push(("slots", HostTensor::from_i32(&[self.tokens], &slots)?));
        Ok(inputs)
    }

    /// `q_out` keeps its type: the oracle's is rounded once, which 2 ulp cover.
    fn oracle(&self) -> Self {
        KvAppendSpec { cache: DType::F64, ..*self }
    }

    /// Values are rounded once, exactly; keys and queries rotate. A quotient is rounded in f32 first, and only then to the
    /// cache's type, where a tie may fall the other way: 2 ulp cover it.
    fn bounds(&self, inputs: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let (heads, dim, c) = (self.kv_heads, self.head_dim, self.accumulation());
        let k = rotation(inputs, "k", heads, dim, self.pairing, c)?;
        let shape = self.store.shapes(heads, dim).0;
        let row: usize = shape.iter().skip(1).product();
        let mut cache = vec![0.0; shape.iter().product()];
        let slots = input(inputs, "slots")?.to_i32().unwrap_or_default();
        for (t, slot) in slots.iter().enumerate() {
            let Some(slot) = usize::try_from(*slot).ok().filter(|s| *s < self.store.slots()) else { continue };
            for (head, d) in (0..heads).flat_map(|h| (0..dim).map(move |d| (h, d))) {
                let (r, within) = self.store.key_at(slot, head, d, heads, dim);
                cache[r * row + within] = k[(t * heads + head) * dim + d];
            }
        }
        let mut bounds = vec![("k_cache", Bound::Within(cache))];
        if self.q_heads > 0 {
            bounds.push(("q_out", Bound::Within(rotation(inputs, "q", self.q_heads, dim, self.pairing, c)?)));
        }
        Ok(bounds)
    }
}

impl Conform for EmbeddingSpec {
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let mut ids: Vec<i32> = (0..self.tokens).map(|_| random.below(self.vocab) as i32).collect();
        if data == Data::Faulty {
            for (id, bad) in ids.iter_mut().zip([-1, self.vocab as i32, i32::MAX]) {
                *id = bad;
            }
        }
        let table = random.reals(self.table, &[self.vocab, self.dim], -16.0, 12.0)?;
        Ok(vec![("ids", HostTensor::from_i32(&[self.tokens], &ids)?), ("table", table)])
    }

    fn oracle(&self) -> Self {
        EmbeddingSpec { out: DType::F64, ..*self }
    }

    /// Rounded once, exactly.
    fn bounds(&self, _: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        Ok(Vec::new())
    }
}

impl Conform for ArgmaxSpec {
    /// Extreme rows hold equal largest values, zeros of both signs, -inf alone, NaN, +inf.
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let mut x: Vec<f64> = (0..self.rows * self.columns).map(|_| random.real(-8.0, 4.0)).collect();
        if data == Data::Extreme {
            for (r, row) in x.chunks_exact_mut(self.columns).enumerate() {
                let mut set = |value: f64, times: usize| (0..times).for_each(|_| row[random.below(row.len())] = value);
                match r % 5 {
                    0 => set(4096.0, 5),
                    1 => set(f64::NAN, 1),
                    2 => set(f64::INFINITY, 1),
                    3 => row.fill(f64::NEG_INFINITY),
                    _ => {
                        row.iter_mut().for_each(|v| *v = -v.abs());
                        (0..4).for_each(|i| row[random.below(self.columns)] = if i % 2 == 0 { -0.0 } else { 0.0 });
                    }
                }
            }
        }
        Ok(vec![("x", HostTensor::from_f64(self.x, &[self.rows, self.columns], &x)?)])
    }

    fn oracle(&self) -> Self {
        *self
    }

    fn bounds(&self, _: &Inputs, _: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        Ok(Vec::new())
    }
}
