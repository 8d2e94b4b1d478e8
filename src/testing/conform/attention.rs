//! Operands and bounds of attention.

use super::{Bound, Conform, Inputs, U, input};
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::cases::{Cases, Data};
use crate::op::{FlashAttnSpec, KvIndex, KvStore};
use crate::testing::harness::{self, Options, Outputs};
use crate::testing::random::Random;

impl Conform for FlashAttnSpec {
    /// Slots that no query may see hold NaN, and table entries for them nonsense.
    fn fill(&self, data: Data, random: &mut Random) -> Result<Inputs, Error> {
        let high = if data == Data::Extreme { 4.0 } else { 1.5 };
        let lens = Lens::new(self, random);
        let mut inputs = vec![("q", random.reals(self.q, &[self.q_tokens, self.q_heads, self.head_dim], -5.0, high)?)];
        let mut cu_seqlens_q = sums(&lens.q);
        let mut used = vec![data == Data::Faulty; self.store.slots()];
        index(self, &lens, data, random, &mut inputs, &mut used)?;
        if data == Data::Faulty {
            (cu_seqlens_q[2], cu_seqlens_q[self.sequences]) = (-1, self.q_tokens as i32 + 3);
        }
        inputs.push(("cu_seqlens_q", HostTensor::from_i32(&[self.sequences + 1], &cu_seqlens_q)?));
        caches(self, &used, high, random, &mut inputs)?;
        if self.kv_scales {
            inputs.extend(scales(self.kv_heads, random)?);
        }
        if let Some(dtype) = self.sinks {
            let mut sinks: Vec<f64> = (0..self.q_heads).map(|_| random.real(-3.0, 3.0)).collect();
            if data == Data::Extreme {
                let odd = [f64::NEG_INFINITY, 60.0, -60.0, 0.0];
                sinks.iter_mut().zip(odd).for_each(|(s, o)| *s = o);
            }
            inputs.push(("sinks", HostTensor::from_f64(dtype, &[self.q_heads], &sinks)?));
        }
        Ok(inputs)
    }

    fn oracle(&self) -> Self {
        FlashAttnSpec { out: DType::F64, ..*self }
    }

    /// With `Z = sm_scale |q| max |k| >= |z|`, a score and the sink are off by `δ <= (c + 4) u Z + 4 u |sink|`: the products, the
    /// scale, and the change of base and of origin before the exponential. The log-sum-exp is off by no more than that and
    /// its own sum of n terms; a probability, relatively, by twice that. Kernels round probabilities to the type of v for
    /// the second product, where small ones may vanish: that adds its roundoff, and n of its smallest numbers.
    fn bounds(&self, inputs: &Inputs, oracle: &Outputs) -> Result<Vec<(&'static str, Bound)>, Error> {
        let mut positive = inputs.clone();
        for (_, v) in positive.iter_mut().filter(|(name, _)| *name == "v") {
            let values: Vec<f64> = v.to_f64().iter().map(|v| v.abs()).collect();
            *v = HostTensor::from_f64(v.dtype, &v.shape, &values)?;
        }
        let absolute =
            harness::run(&Cpu::oracle(), &self.oracle(), &positive, Options::default())?.get("out")?.to_f64();
        let scale = |name| -> Result<f64, Error> {
            Ok(if self.kv_scales { largest(&input(inputs, name)?.to_f64()) } else { 1.0 })
        };
        let (q, largest_v) = (input(inputs, "q")?.to_f64(), largest(&input(inputs, "v")?.to_f64()) * scale("v_scale")?);
        let largest_k = largest(&key_norms(self, &input(inputs, "k")?.to_f64())) * scale("k_scale")?;
        let sinks = self.sinks.map(|_| input(inputs, "sinks")).transpose()?.map(HostTensor::to_f64).unwrap_or_default();
        let sink = largest(&sinks.into_iter().filter(|s| s.is_finite()).collect::<Vec<_>>());
        let n = self.max_k_len as f64;
        let sum = (2.0 * (n + 2.0) + 16.0) * U;
        let (p, vanished) = (self.probability().unit_roundoff(), n * self.probability().smallest() * largest_v);
        let (mut out, mut lse) = (Vec::new(), Vec::new());
        for (q, absolute) in q.chunks_exact(self.head_dim).zip(absolute.chunks_exact(self.head_dim)) {
            let score = self.sm_scale.0.abs() * norm(q) * largest_k;
            let off = (self.accumulation() + 4.0) * U * score + 4.0 * U * sink;
            out.extend(absolute.iter().map(|a| ((2.0 * off + sum).exp_m1() + p) * a + vanished));
            lse.push(off + sum + 4.0 * U * (score + sink));
        }
        let mut bounds = vec![("out", Bound::Within(out))];
        if oracle.get("lse").is_ok() {
            bounds.push(("lse", Bound::Within(lse)));
        }
        Ok(bounds)
    }
}

/// Scales of keys and of values, of any mantissa.
pub(super) fn scales(heads: usize, random: &mut Random) -> Result<Inputs, Error> {
    let mut scales = || {
        let values: Vec<f64> = (0..heads).map(|_| (random.unit() * 4.0 - 3.5).exp2()).collect();
        HostTensor::from_f64(DType::F32, &[heads], &values)
    };
    Ok(vec![("k_scale", scales()?), ("v_scale", scales()?)])
}

/// Query and key lengths of each sequence.
struct Lens {
    q: Vec<usize>,
    k: Vec<usize>,
}

impl Lens {
    /// One sequence at its longest; of several, one without queries, one with fewer keys than queries.
    fn new(op: &FlashAttnSpec, random: &mut Random) -> Lens {
        let (mut q_left, mut k_left) = (op.q_tokens, op.store.slots());
        let (mut q, mut k) = (Vec::new(), Vec::new());
        for s in 0..op.sequences {
            let q_len = match s {
                0 => op.max_q_len,
                1 if op.max_q_len > 1 => 3,
                2 if op.max_q_len > 1 => 0,
                _ => op.max_q_len.min(1 + random.below(op.max_q_len)),
            };
            let q_len = q_len.min(q_left);
            let k_len = match s {
                0 => op.max_k_len,
                1 => q_len.saturating_sub(1),
                _ => q_len + random.below(op.max_k_len + 1 - q_len.min(op.max_k_len)),
            };
            let k_len = k_len.min(op.max_k_len).min(k_left);
            (q_left, k_left) = (q_left - q_len, k_left - k_len);
            q.push(q_len);
            k.push(k_len);
        }
        Lens { q, k }
    }

    /// First key of sequence `s` that some query sees.
    fn first_visible(&self, op: &FlashAttnSpec, s: usize) -> usize {
        match op.mask.window() {
            Some(window) => (self.k[s] + 1).saturating_sub(self.q[s] + window),
            None => 0,
        }
    }
}

fn sums(lens: &[usize]) -> Vec<i32> {
    let mut sums = vec![0i32];
    for len in lens {
        sums.push(sums.last().copied().unwrap_or(0) + *len as i32);
    }
    sums
}

/// The operands that find keys, and which slots they lead to.
fn index(
    op: &FlashAttnSpec,
    lens: &Lens,
    data: Data,
    random: &mut Random,
    inputs: &mut Inputs,
    used: &mut [bool],
) -> Result<(), Error> {
    let (sequences, faulty) = (op.sequences, data == Data::Faulty);
    let ints = |values: &[i32]| HostTensor::from_i32(&[values.len()], values);
    let mut k_len: Vec<i32> = lens.k.iter().map(|k| *k as i32).collect();
    let KvStore::Paged { pages, page_size, .. } = op.store else {
        let mut starts = sums(&lens.k);
        used[..lens.k.iter().sum()].fill(true);
        if op.index == KvIndex::CuSeqlens {
            if faulty {
                (starts[2], starts[4]) = (i32::MAX, -1);
            }
            inputs.push(("cu_seqlens_k", ints(&starts)?));
            return Ok(());
        }
        starts.truncate(sequences);
        if faulty {
            (starts[0], starts[3], k_len[4]) = (-2, op.store.slots() as i32 - 1, -1);
        }
        inputs.extend([("k_start", ints(&starts)?), ("k_len", ints(&k_len)?)]);
        return Ok(());
    };
    let mut free: Vec<usize> = (0..pages).collect();
    random.shuffle(&mut free);
    let (mut lists, mut last) = (Vec::new(), Vec::new());
    for (s, len) in lens.k.iter().enumerate() {
        let list: Vec<usize> = (0..len.div_ceil(page_size)).filter_map(|_| free.pop()).collect();
        for key in lens.first_visible(op, s)..*len {
            used[list[key / page_size] * page_size + key % page_size] = true;
        }
        last.push(if list.is_empty() { 0 } else { (len - (list.len() - 1) * page_size) as i32 });
        lists.push(list);
    }
    // A page that no query sees may be called anything.
    let entry = |s: usize, p: usize| match (p + 1) * page_size <= lens.first_visible(op, s) {
        true => -5,
        false => lists[s][p] as i32,
    };
    match op.index {
        KvIndex::BlockTable { max_pages } => {
            let unused = |p: usize| if p.is_multiple_of(2) { -1 } else { i32::MAX };
            let row = |s: usize| (0..max_pages).map(move |p| (s, p));
            let cell = |(s, p): (usize, usize)| if p < lists[s].len() { entry(s, p) } else { unused(p) };
            let mut table: Vec<i32> = (0..sequences).flat_map(row).map(cell).collect();
            if faulty {
                (table[0], k_len[3], k_len[4]) = (pages as i32, -4, (max_pages * page_size) as i32 + 100);
            }
            inputs.push(("block_table", HostTensor::from_i32(&[sequences, max_pages], &table)?));
            inputs.push(("k_len", ints(&k_len)?));
        }
        KvIndex::Indptr { entries } => {
            let mut indptr = sums(&lists.iter().map(Vec::len).collect::<Vec<_>>());
            let mut indices: Vec<i32> = (0..sequences)
                .flat_map(|s| (0..lists[s].len()).map(move |p| (s, p)))
                .map(|(s, p)| entry(s, p))
                .collect();
            indices.resize(entries, i32::MIN);
            if faulty {
                (indices[0], last[0], indptr[2]) = (-1, page_size as i32 + 1, entries as i32 + 7);
            }
            inputs.extend([("kv_indptr", ints(&indptr)?), ("kv_indices", ints(&indices)?)]);
            inputs.push(("kv_last_page_len", ints(&last)?));
        }
        _ => {}
    }
    Ok(())
}

/// Keys and values: numbers in the used slots, NaN elsewhere.
fn caches(op: &FlashAttnSpec, used: &[bool], high: f64, random: &mut Random, inputs: &mut Inputs) -> Result<(), Error> {
    let (heads, dim) = (op.kv_heads, op.head_dim);
    let (k_shape, v_shape) = op.store.shapes(heads, dim);
    let row = |shape: &[usize]| shape.iter().skip(1).product::<usize>();
    let (k_row, v_row) = (row(&k_shape), row(&v_shape));
    let mut k = vec![f64::NAN; k_shape.iter().product()];
    let mut v = vec![f64::NAN; v_shape.iter().product()];
    for slot in (0..used.len()).filter(|s| used[*s]) {
        for (head, d) in (0..heads).flat_map(|h| (0..dim).map(move |d| (h, d))) {
            let (row, within) = op.store.key_at(slot, head, d, heads, dim);
            k[row * k_row + within] = random.real(-5.0, high);
            let (row, within) = op.store.value_at(slot, head, d, heads, dim);
            v[row * v_row + within] = random.real(-8.0, 3.0);
        }
    }
    inputs.push(("k", HostTensor::from_f64(op.kv, &k_shape, &k)?));
    inputs.push(("v", HostTensor::from_f64(op.kv, &v_shape, &v)?));
    Ok(())
}

/// Length of every key vector.
fn key_norms(op: &FlashAttnSpec, k: &[f64]) -> Vec<f64> {
    let (heads, dim) = (op.kv_heads, op.head_dim);
    let row: usize = op.store.shapes(heads, dim).0.iter().skip(1).product();
    let at = |slot, head, d| {
        let (r, within) = op.store.key_at(slot, head, d, heads, dim);
        k[r * row + within]
    };
    let slots = (0..op.store.slots()).flat_map(|slot| (0..heads).map(move |head| (slot, head)));
    slots.map(|(slot, head)| norm(&(0..dim).map(|d| at(slot, head, d)).collect::<Vec<_>>())).collect()
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The largest magnitude; NaN is passed over.
fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}
