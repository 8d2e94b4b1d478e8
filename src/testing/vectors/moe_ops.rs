//! `swiglu`, routing, sorting and the whole block of the format.

use super::case::{Case, Params, Stop};
use super::gemm::mxfp4_inputs;
use super::values::Values;
use super::{Actual, Runner};
use crate::backend::Replay;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::moe::{RouteSpec, Score, SortSpec};
use crate::op::{Combine, Epilogue, GateUp, Gather, GroupedGemmSpec, LocalExperts, RmsNormSpec};
use crate::op::{Swiglu, SwigluSpec, WeightFormat};

/// Parameters of the gated unit.
pub(super) fn swiglu_params(p: &Params<'_>) -> Result<Swiglu, Stop> {
    Ok(Swiglu {
        alpha: p.number("alpha")?.into(),
        limit: Some(p.number("limit")?.into()),
        up_offset: p.number("up_offset")?.into(),
        layout: p.one_of("gate_up", &[("interleaved", GateUp::Interleaved)])?,
    })
}

/// How weights come from logits.
pub(super) fn score(p: &Params<'_>) -> Result<Score, Stop> {
    p.only("tie", "lowest_index")?;
    p.only("order", "descending")?;
    match p.one_of("score", &[("softmax_after_topk", true), ("softmax_before_topk", false)])? {
        true => Ok(Score::SoftmaxAfterTopK),
        false => {
            let renormalize = p.has("renormalize") && p.flag("renormalize")?;
            Ok(Score::SoftmaxBeforeTopK { renormalize })
        }
    }
}

pub(super) fn swiglu<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let x = case.float("gate_up", run.class)?;
    let width = x.shape.last().copied().unwrap_or(0);
    let spec = SwigluSpec {
        rows: x.len() / width.max(1),
        width,
        x: x.dtype,
        out: run.class.out(),
        swiglu: swiglu_params(&case.params()?)?,
    };
    Ok(vec![("y".into(), Values::of(run.op(&spec, &[("gate_up", x)])?.get("y")?))])
}

pub(super) fn route<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    let logits = case.float("logits", run.class)?;
    let spec = RouteSpec {
        tokens: p.count("T")?,
        experts: p.count("E")?,
        top_k: p.count("top_k")?,
        logits: logits.dtype,
        weight: run.class.wide(),
        score: score(&p)?,
    };
    let out = run.op(&spec, &[("logits", logits)])?;
    Ok(out.iter().map(|(name, t)| (name.to_string(), Values::of(t))).collect())
}

pub(super) fn permute<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    p.only("order", "expert_then_assignment_id")?;
    let spec = SortSpec { tokens: p.count("T")?, experts: p.count("E")?, top_k: p.count("top_k")? };
    let out = run.op(&spec, &[("topk_idx", case.tensor("topk_idx")?)])?;
    Ok(out.iter().map(|(name, t)| (name.to_string(), Values::of(t))).collect())
}

/// From hidden state to hidden state, op by op: norm, router, dispatch, up projection with gather and SwiGLU, down
/// projection with combine, residual.
pub(super) fn moe_block<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let (p, class) = (case.params()?, run.class);
    p.only("weight_format", "mxfp4_openai")?;
    p.only("down_bias", "inside_weighted_sum")?;
    let (tokens, hidden, inner) = (p.count("T")?, p.count("H")?, p.count("I")?);
    let (experts, top_k) = (p.count("E")?, p.count("top_k")?);
    let x = case.float("x", class)?;
    let t = match p.has("norm") {
        true => normed(run, case, &x, tokens, hidden, p.inner("norm")?.number("eps")?)?,
        false => x.clone(),
    };
    let (router, router_bias) = (case.float("router_weight", class)?, case.float("router_bias", class)?);
    let wide = class.wide();
    let linear = GroupedGemmSpec::linear(tokens, experts, hidden, t.dtype, router.dtype, Some(router_bias.dtype), wide);
    let logits = run.op(&linear, &[("a", t.clone()), ("w", router), ("bias", router_bias)])?.get("d")?.clone();
    let route = RouteSpec { tokens, experts, top_k, logits: wide, weight: wide, score: score(&p)? };
    let routed = run.op(&route, &[("logits", logits.clone())])?;
    let (chosen, weight) = (routed.get("topk_idx")?.clone(), routed.get("topk_weight")?.clone());
    let sorted = run.op(&SortSpec { tokens, experts, top_k }, &[("topk_idx", chosen.clone())])?;
    let offsets = sorted.get("expert_offset")?.clone();
    let up_bias = case.float("gate_up_bias", class)?;
    let up = GroupedGemmSpec {
        experts,
        local: LocalExperts { first: 0, count: experts },
        rows: tokens.saturating_mul(top_k),
        n: inner.saturating_mul(2),
        k: hidden,
        a: t.dtype,
        weights: WeightFormat::Mxfp4,
        bias: Some(up_bias.dtype),
        d: class.out(),
        epilogue: Epilogue::Swiglu(swiglu_params(&p.inner("swiglu")?)?),
        grouped: true,
        gather: Some(Gather { input_rows: tokens, divide: top_k.max(1) }),
        combine: None,
    };
    let mut inputs = vec![("a", t), ("bias", up_bias), ("offsets", offsets.clone())];
    inputs.push(("row_index", sorted.get("sorted_assignment")?.clone()));
    inputs.extend(mxfp4_inputs(case, "gate_up_blocks", "gate_up_scales")?);
    let h = run.op(&up, &inputs)?.get("d")?.clone();
    let down_bias = case.float("down_bias", class)?;
    let down = GroupedGemmSpec {
        n: hidden,
        k: inner,
        a: h.dtype,
        bias: Some(down_bias.dtype),
        epilogue: Epilogue::None,
        gather: None,
        combine: Some(Combine { tokens, top_k, weight: wide }),
        ..up
    };
    let mut inputs = vec![("a", h), ("bias", down_bias), ("offsets", offsets), ("combine_weight", weight.clone())];
    inputs.push(("row_of", sorted.get("assignment_to_row")?.clone()));
    inputs.extend(mxfp4_inputs(case, "down_blocks", "down_scales")?);
    let mut out = run.op(&down, &inputs)?.get("d")?.clone();
    if p.flag("residual")? {
        let sum: Vec<f64> = out.to_f64().iter().zip(x.to_f64()).map(|(y, x)| x + y).collect();
        out = HostTensor::from_f64(class.out(), &out.shape, &sum)?;
    }
    let roles = [("out", out), ("router_logits", logits), ("topk_idx", chosen), ("topk_weight", weight)];
    Ok(roles.iter().map(|(name, t)| (name.to_string(), Values::of(t))).collect())
}

fn normed<B: Replay + AllOps>(
    run: &Runner<'_, B>,
    case: &Case<'_>,
    x: &HostTensor,
    rows: usize,
    dim: usize,
    eps: f64,
) -> Result<HostTensor, Stop> {
    let weight = case.float("norm_weight", run.class)?;
    let out = run.class.out();
    let spec = RmsNormSpec { rows, dim, eps: eps.into(), x: x.dtype, weight: weight.dtype, out, residual: false };
    Ok(run.op(&spec, &[("x", x.clone()), ("weight", weight)])?.get("y")?.clone())
}
