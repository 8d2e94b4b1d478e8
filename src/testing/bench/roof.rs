//! What the device can do, measured in the same run.

use super::operand::{Call, Slot};
use super::pattern::Pattern;
use super::{Measured, Runner};
use crate::backend::{Arch, Timing};
use crate::dtype::DType;
use crate::error::Error;
use crate::kernel::AllOps;
use crate::op::Op;
use crate::op::moe::CombineSpec;
use serde::{Deserialize, Serialize};

/// A rate and what reached it.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// GB/s, or TFLOP/s.
    pub rate: f64,
    /// The row or probe that reached it.
    pub by: String,
}

/// The device's roof, as this run saw it.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Roof {
    /// Memory bandwidth in GB/s: the best of all rows and of a probe that does little but read.
    pub gbps: Rate,
    /// Matrix rate in TFLOP/s: the best sustained dense bf16 GEMM, rows and a probe.
    pub tflops: Rate,
}

impl Roof {
    /// The least time of this work, microseconds.
    pub fn us(&self, flops: f64, bytes: f64) -> f64 {
        (bytes / (self.gbps.rate * 1e3)).max(flops / (self.tflops.rate * 1e6))
    }
}

impl Rate {
    fn best(&mut self, rate: f64, by: impl FnOnce() -> String) {
        if rate > self.rate {
            *self = Rate { rate, by: by() };
        }
    }
}

/// The probes, and the rows.
pub(super) fn roof<B: Timing + AllOps>(
    runner: &mut Runner<'_, B>,
    rows: &[(&'static str, String, usize, Measured)],
) -> Result<Roof, Error> {
    let mut roof = Roof::default();
    let small = runner.backend.device().arch == Arch::Cpu;
    let n = if small { 512 } else { 8192 };
    let dense = runner.linear(n, n, n)?;
    roof.tflops.best(dense.tflops(), || format!("linear {n} x {n} x {n}, {}", dense.variant));
    let (gbps, words) = combine(runner, if small { 64 } else { 4096 })?;
    roof.gbps.best(gbps, || words);
    // What a whole model moves is an estimate.
    for (op, case, tokens, m) in rows.iter().filter(|(op, ..)| *op != "model") {
        roof.gbps.best(m.gbps(), || format!("{op} {case} {tokens}"));
        if *op == "linear" {
            roof.tflops.best(m.tflops(), || format!("{op} {case} {tokens}, {}", m.variant));
        }
    }
    Ok(roof)
}

/// Rate of a weighted combine of 16 rows a token: it reads 16 times what it writes and computes next to nothing.
fn combine<B: Timing + AllOps>(runner: &mut Runner<'_, B>, tokens: usize) -> Result<(f64, String), Error> {
    let (top_k, dim) = (16, 8192);
    let rows = tokens * top_k;
    let spec = CombineSpec { rows, tokens, top_k, dim, y: DType::Bf16, weight: DType::F32, out: DType::Bf16 };
    let work = spec.work();
    let numbers = Pattern::normals(DType::Bf16, 1.0, &mut runner.random)?;
    let weights = Pattern::normals(DType::F32, 0.25, &mut runner.random)?;
    let order: Vec<i32> = (0..rows as i32).collect();
    let order = crate::host::HostTensor::from_i32(&[rows], &order)?;
    let (backend, sets) = (runner.backend, runner.sets(work.bytes as usize));
    let named = vec![
        ("y", Slot::filled(backend, DType::Bf16, &[rows, dim], sets, &numbers)?),
        ("assignment_to_row", Slot::of(backend, &[order])?),
        ("topk_weight", Slot::filled(backend, DType::F32, &[tokens, top_k], sets, &weights)?),
        ("out", Slot::empty(backend, DType::Bf16, &[tokens, dim], sets)?),
    ];
    let call = Call::new(backend, spec, Default::default(), named)?;
    let times = runner.measure(sets, |set, q| call.enqueue(backend, set, q))?;
    Ok((work.bytes as f64 / times.median * 1e-3, format!("moe_combine of 16 rows a token, {}", call.variant())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_is_the_slower_of_memory_and_arithmetic() {
        let rate = |rate| Rate { rate, by: String::new() };
        let roof = Roof { gbps: rate(4000.0), tflops: rate(800.0) };
        assert_eq!(roof.us(0.0, 4e9), 1000.0);
        assert_eq!(roof.us(8e11, 4e9), 1000.0);
        assert_eq!(roof.us(8e12, 4e9), 10_000.0);
    }
}
