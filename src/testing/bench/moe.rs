//! The mixture-of-experts rows: parts of a layer, and all of it from router logits on.

mod check;

use super::catalog::Preset;
use super::experts::Format;
use super::forced::Forced;
use super::operand::{Call, Slot};
use super::routing::{self, Routing};
use super::{Measured, Runner};
use crate::backend::{Runtime, Timing};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::grouped_gemm::{Combine, Epilogue, Gather, LocalExperts};
use crate::op::moe::DispatchSpec;
use crate::op::{GroupedGemmSpec, Swiglu, WeightFormat, Work};
use check::Ran;
use std::sync::Arc;

/// Which part of the layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Mlp1,
    Mlp2,
    Block,
}

/// Roundings to bf16 in series: of what passes between the GEMMs, and of the result.
const BLOCK_ROUNDINGS: f64 = 2.0;

/// `rows` rows in expert order times `n` x `k` weights.
fn grouped(p: &Preset, rows: usize, n: usize, k: usize, format: WeightFormat) -> GroupedGemmSpec {
    GroupedGemmSpec {
        experts: p.experts,
        local: LocalExperts { first: 0, count: p.experts },
        weights: format,
        grouped: true,
        ..GroupedGemmSpec::linear(rows, n, k, DType::Bf16, DType::Bf16, Some(DType::Bf16), DType::Bf16)
    }
}

pub(super) fn mlp1(p: &Preset, tokens: usize, format: WeightFormat) -> GroupedGemmSpec {
    GroupedGemmSpec {
        epilogue: Epilogue::Swiglu(Swiglu::GPT_OSS),
        gather: Some(Gather { input_rows: tokens, divide: p.top_k }),
        ..grouped(p, tokens * p.top_k, 2 * p.intermediate, p.hidden, format)
    }
}

pub(super) fn mlp2(p: &Preset, tokens: usize, format: WeightFormat) -> GroupedGemmSpec {
    GroupedGemmSpec {
        combine: Some(Combine { tokens, top_k: p.top_k, weight: DType::F32 }),
        ..grouped(p, tokens * p.top_k, p.hidden, p.intermediate, format)
    }
}

/// The operands of one row, for all sets.
struct Operands<B: Runtime> {
    logits: Vec<HostTensor>,
    x: Arc<Slot<B>>,
    activated: Arc<Slot<B>>,
    out: Arc<Slot<B>>,
    routing: Vec<Routing>,
}

impl<B: Timing + AllOps> Runner<'_, B> {
    /// Rows of `part` at `tokens` tokens.
    pub(super) fn moe(&mut self, p: Preset, part: Part, tokens: usize) -> Result<Measured, Error> {
        let format = if self.options.openai_weights { Format::OpenAi } else { Format::Tiled };
        let experts = self.experts(p, format, part != Part::Mlp2, part != Part::Mlp1)?;
        let sets =
            self.sets(touched_bytes(&p, part, routing::expected_touched(&p, tokens, self.options.select.routing)));
        let operands = self.operands(&p, part, tokens, sets)?;
        let touched = operands.routing.iter().map(Routing::touched).sum::<f64>() / sets as f64;
        let rows = tokens * p.top_k;
        let (up, down) = (mlp1(&p, tokens, format.of_spec()), mlp2(&p, tokens, format.of_spec()));
        let tensors = |of: fn(&Routing) -> &HostTensor| -> Result<_, Error> {
            Slot::of(self.backend, &operands.routing.iter().map(|r| of(r).clone()).collect::<Vec<_>>())
        };
        let (offsets, sorted, inverse, weight) =
            (tensors(|r| &r.offsets)?, tensors(|r| &r.sorted)?, tensors(|r| &r.inverse)?, tensors(|r| &r.weight)?);
        let up_operands = || -> Result<_, Error> {
            let mut named = experts.up()?;
            named.extend([("a", operands.x.clone()), ("d", operands.activated.clone())]);
            named.extend([("offsets", offsets.clone()), ("row_index", sorted.clone())]);
            Ok(named)
        };
        let down_operands = || -> Result<_, Error> {
            let mut named = experts.down()?;
            named.extend([("a", operands.activated.clone()), ("d", operands.out.clone())]);
            named.extend([("offsets", offsets.clone()), ("row_of", inverse.clone())]);
            named.push(("combine_weight", weight.clone()));
            Ok(named)
        };
        let work = work(&p, part, tokens, touched);
        let shape = format!("E{} k{} {}x{}", p.experts, p.top_k, p.hidden, p.intermediate);
        let (backend, hint) = (self.backend, self.hint());
        let ran = Ran { backend, preset: &p, experts: &experts, operands: &operands };
        let measured = |times, variant: String, rel_err, roundings, scratch_bytes, peak_bytes| Measured {
            shape: shape.clone(),
            variant,
            times,
            work,
            rel_err,
            allowed: super::check::allowed(DType::Bf16, roundings),
            scratch_bytes,
            peak_bytes,
        };
        match part {
            Part::Mlp1 => {
                let call = Call::new(backend, up, hint, up_operands()?)?;
                let times = self.measure(sets, |set, q| call.enqueue(backend, set, q))?;
                let error = self.checked(|| ran.mlp1(&call))?;
                let sizes = (call.scratch_bytes(), call.peak_bytes());
                Ok(measured(times, call.variant().into(), error, 1.0, sizes.0, sizes.1))
            }
            Part::Mlp2 => {
                let call = Call::new(backend, down, hint, down_operands()?)?;
                let times = self.measure(sets, |set, q| call.enqueue(backend, set, q))?;
                let error = self.checked(|| ran.mlp2(&call))?;
                let sizes = (call.scratch_bytes(), call.peak_bytes());
                Ok(measured(times, call.variant().into(), error, 1.0, sizes.0, sizes.1))
            }
            Part::Block => {
                let mut forced = Forced::new(hint);
                let dispatch: Call<DispatchSpec, B> = forced.call(
                    backend,
                    routing::spec(&p, tokens),
                    vec![
                        ("logits", Slot::of(backend, &operands.logits)?),
                        ("topk_idx", Slot::empty(backend, DType::I32, &[tokens, p.top_k], sets)?),
                        ("topk_weight", weight.clone()),
                        ("expert_count", Slot::empty(backend, DType::I32, &[p.experts], sets)?),
                        ("expert_offset", offsets.clone()),
                        ("sorted_assignment", sorted.clone()),
                        ("assignment_to_row", inverse.clone()),
                    ],
                )?;
                let up = forced.call(backend, up, up_operands()?)?;
                let down = forced.call(backend, down, down_operands()?)?;
                forced.check::<B>("moe_block_from_logits")?;
                let times = self.measure(sets, |set, q| {
                    dispatch.enqueue(backend, set, q)?;
                    up.enqueue(backend, set, q)?;
                    down.enqueue(backend, set, q)
                })?;
                let error = self.checked(|| ran.block())?;
                let variant = format!("{} + {} + {}", dispatch.variant(), up.variant(), down.variant());
                let scratch = dispatch.scratch_bytes().max(up.scratch_bytes()).max(down.scratch_bytes());
                let between = rows * p.intermediate * 2;
                let peak = (up.peak_bytes() + down.peak_bytes()).saturating_sub(between);
                Ok(measured(times, variant, error, BLOCK_ROUNDINGS, scratch, peak))
            }
        }
    }

    fn operands(&mut self, p: &Preset, part: Part, tokens: usize, sets: usize) -> Result<Operands<B>, Error> {
        let (logits, routing) = routing::sets(p, tokens, self.options.select.routing, sets)?;
        let rows = [tokens * p.top_k, p.intermediate];
        Ok(Operands {
            routing,
            logits,
            x: self.input("x", &[tokens, p.hidden], sets, 1.0)?.1,
            activated: match part {
                Part::Mlp2 => self.input("activated", &rows, sets, 1.0)?.1,
                _ => self.output(&rows, sets)?,
            },
            out: self.output(&[tokens, p.hidden], sets)?,
        })
    }
}

/// Bytes of one expert: codes, scales, bias.
fn expert_bytes(n: usize, k: usize) -> f64 {
    (n * k / 2 + n * k / 32 + 2 * n) as f64
}

fn touched_bytes(p: &Preset, part: Part, experts: f64) -> usize {
    let up = expert_bytes(2 * p.intermediate, p.hidden);
    let down = expert_bytes(p.hidden, p.intermediate);
    let each = match part {
        Part::Mlp1 => up,
        Part::Mlp2 => down,
        Part::Block => up + down,
    };
    (each * experts) as usize
}

/// The weights of the experts that some token chose, and each activation once.
pub(super) fn work(p: &Preset, part: Part, tokens: usize, touched: f64) -> Work {
    let rows = (tokens * p.top_k) as u64;
    let (h, i) = (p.hidden as u64, p.intermediate as u64);
    let (up, down) = (4 * rows * h * i, 2 * rows * h * i);
    let (token_bytes, row_bytes) = (2 * tokens as u64 * h, 2 * rows * i);
    let (flops, activations) = match part {
        Part::Mlp1 => (up, token_bytes + row_bytes),
        Part::Mlp2 => (down, token_bytes + row_bytes),
        Part::Block => (up + down, 2 * token_bytes + 4 * (tokens * p.experts) as u64),
    };
    Work { flops, bytes: touched_bytes(p, part, touched) as u64 + activations }
}
