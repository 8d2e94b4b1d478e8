//! Rows without MXFP4: the bf16 grouped GEMM, linear layers, dispatch.

use super::catalog::Preset;
use super::check::{allowed, relative_error, sample};
use super::operand::{Call, Slot};
use super::routing::{self, Routing};
use super::{Measured, Runner};
use crate::backend::{Runtime, Timing};
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::grouped_gemm::LocalExperts;
use crate::op::moe::DispatchSpec;
use crate::op::{GroupedGemmSpec, Op, WeightFormat, Work};

/// A linear layer.
pub(super) fn linear(tokens: usize, n: usize, k: usize) -> GroupedGemmSpec {
    GroupedGemmSpec::linear(tokens, n, k, DType::Bf16, DType::Bf16, None, DType::Bf16)
}

/// mlp1's shape, rows in expert order.
pub(super) fn bf16(p: &Preset, tokens: usize) -> GroupedGemmSpec {
    GroupedGemmSpec {
        experts: p.experts,
        local: LocalExperts { first: 0, count: p.experts },
        grouped: true,
        ..linear(tokens * p.top_k, 2 * p.intermediate, p.hidden)
    }
}

/// The weights of the experts that some token chose, and each activation once.
pub(super) fn bf16_work(spec: &GroupedGemmSpec, touched: f64) -> Work {
    let GroupedGemmSpec { rows, n, k, .. } = *spec;
    let bytes = touched * 2.0 * (n * k) as f64 + 2.0 * (rows * (n + k)) as f64;
    Work { bytes: bytes as u64, ..spec.work() }
}

impl<B: Timing + AllOps> Runner<'_, B> {
    /// A linear layer in bf16.
    pub(super) fn linear(&mut self, tokens: usize, n: usize, k: usize) -> Result<Measured, Error> {
        let spec = linear(tokens, n, k);
        let sets = self.sets(2 * n * k);
        let named = vec![
            self.input("a", &[tokens, k], sets, 1.0)?,
            self.input("w", &[1, n, k], sets, (k as f64).sqrt().recip())?,
            ("d", self.output(&[tokens, n], sets)?),
        ];
        let call = Call::new(self.backend, spec, self.hint(), named)?;
        let rows = sample(tokens, 4);
        self.gemm(&call, sets, spec.work(), format!("{n}x{k}"), &rows, &[0, rows.len() as i32])
    }

    /// The bf16 grouped GEMM of mlp1's shape.
    pub(super) fn bf16(&mut self, p: Preset, tokens: usize) -> Result<Measured, Error> {
        let spec = bf16(&p, tokens);
        let GroupedGemmSpec { rows, n, k, .. } = spec;
        let sets = self
            .sets((routing::expected_touched(&p, tokens, self.options.select.routing) * 2.0 * (n * k) as f64) as usize);
        let (_, routing) = routing::sets(&p, tokens, self.options.select.routing, sets)?;
        let offsets: Vec<HostTensor> = routing.iter().map(|r| r.offsets.clone()).collect();
        let named = vec![
            self.input("a", &[rows, k], sets, 1.0)?,
            self.input("w", &[p.experts, n, k], sets.min(2), (k as f64).sqrt().recip())?,
            ("offsets", Slot::of(self.backend, &offsets)?),
            ("d", self.output(&[rows, n], sets)?),
        ];
        let touched = routing.iter().map(Routing::touched).sum::<f64>() / sets as f64;
        let work = bf16_work(&spec, touched);
        let call = Call::new(self.backend, spec, self.hint(), named)?;
        let (chosen, of_row) = (sample(rows, 8), routing[0].expert_of_row());
        let below = |e: usize| chosen.iter().filter(|r| of_row[**r] < e).count() as i32;
        let chosen_offsets: Vec<i32> = (0..=p.experts).map(below).collect();
        self.gemm(&call, sets, work, format!("E{} {n}x{k}", p.experts), &chosen, &chosen_offsets)
    }

    /// Times a GEMM and compares the chosen rows with the oracle's.
    fn gemm(
        &self,
        call: &Call<GroupedGemmSpec, B>,
        sets: usize,
        work: Work,
        shape: String,
        rows: &[usize],
        offsets: &[i32],
    ) -> Result<Measured, Error> {
        let backend = self.backend;
        let times = self.measure(sets, |set, q| call.enqueue(backend, set, q))?;
        let rel_err = self.checked(|| check(backend, call, rows, offsets))?;
        Ok(Measured {
            shape,
            variant: call.variant().into(),
            times,
            work,
            rel_err,
            allowed: allowed(DType::Bf16, 1.0),
            scratch_bytes: call.scratch_bytes(),
            peak_bytes: call.peak_bytes(),
        })
    }

    /// Router logits to everything the grouped GEMMs need.
    pub(super) fn dispatch(&mut self, p: Preset, tokens: usize) -> Result<Measured, Error> {
        let (backend, spec) = (self.backend, routing::spec(&p, tokens));
        let work = spec.work();
        let sets = self.sets(work.bytes as usize).min(256);
        let (logits, routing) = routing::sets(&p, tokens, self.options.select.routing, sets)?;
        let rows = tokens * p.top_k;
        let ints = |shape: &[usize]| Slot::empty(backend, DType::I32, shape, sets);
        let named = vec![
            ("logits", Slot::of(backend, &logits)?),
            ("topk_idx", ints(&[tokens, p.top_k])?),
            ("topk_weight", Slot::empty(backend, DType::F32, &[tokens, p.top_k], sets)?),
            ("expert_count", ints(&[p.experts])?),
            ("expert_offset", ints(&[p.experts + 1])?),
            ("sorted_assignment", ints(&[rows])?),
            ("assignment_to_row", ints(&[rows])?),
        ];
        let call: Call<DispatchSpec, B> = Call::new(backend, spec, self.hint(), named)?;
        let times = self.measure(sets, |set, q| call.enqueue(backend, set, q))?;
        Ok(Measured {
            shape: format!("E{} k{}", p.experts, p.top_k),
            variant: call.variant().into(),
            times,
            work,
            rel_err: self.checked(|| dispatch_error(backend, &call, &routing[0]))?,
            allowed: allowed(DType::F32, 8.0),
            scratch_bytes: call.scratch_bytes(),
            peak_bytes: call.peak_bytes(),
        })
    }
}

/// Of the weights; NaN where an integer is not the reference's.
fn dispatch_error<B: Runtime + AllOps>(
    backend: &B,
    call: &Call<DispatchSpec, B>,
    want: &Routing,
) -> Result<f64, Error> {
    let pairs = [
        ("topk_idx", &want.ids),
        ("expert_count", &want.counts),
        ("expert_offset", &want.offsets),
        ("sorted_assignment", &want.sorted),
        ("assignment_to_row", &want.inverse),
    ];
    for (name, want) in pairs {
        if call.slot(name)?.read(backend)?.bytes.as_slice() != want.bytes.as_slice() {
            return Ok(f64::NAN);
        }
    }
    Ok(relative_error(&call.slot("topk_weight")?.read(backend)?.to_f64(), &want.weight.to_f64()))
}

/// Error of the chosen rows of `d`; `offsets` say which expert owns which of them.
fn check<B: Runtime + AllOps>(
    backend: &B,
    call: &Call<GroupedGemmSpec, B>,
    rows: &[usize],
    offsets: &[i32],
) -> Result<f64, Error> {
    let (cpu, spec) = (Cpu::oracle(), call.op());
    let (mut a, mut got) = (Vec::new(), Vec::new());
    for row in rows {
        a.extend_from_slice(call.slot("a")?.host_rows(*row, 1)?.bytes.as_slice());
        got.extend(call.slot("d")?.read_rows(backend, *row, 1)?.to_f64());
    }
    let a = HostTensor::new(DType::Bf16, &[rows.len(), spec.k], a.into())?;
    let d = Slot::empty(&cpu, DType::F64, &[rows.len(), spec.n], 1)?;
    let mut named =
        vec![("a", Slot::import(&cpu, &a)?), ("w", Slot::import(&cpu, call.slot("w")?.host()?)?), ("d", d.clone())];
    if spec.grouped {
        named.push(("offsets", Slot::import(&cpu, &HostTensor::from_i32(&[offsets.len()], offsets)?)?));
    }
    debug_assert!(matches!(spec.weights, WeightFormat::Dense(_)));
    let reference = GroupedGemmSpec { rows: rows.len(), d: DType::F64, ..*spec };
    Call::new(&cpu, reference, Default::default(), named)?.run(&cpu)?;
    Ok(relative_error(&got, &d.read(&cpu)?.to_f64()))
}
