//! `rms_norm` and `rope_apply` of the format.

use super::case::{Case, Stop, fail};
use super::values::Values;
use super::{Actual, Runner};
use crate::backend::Replay;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::{Pairing, RmsNormSpec, RopeSpec};

pub(super) const PAIRINGS: [(&str, Pairing); 2] =
    [("half_split", Pairing::HalfSplit), ("interleaved", Pairing::Interleaved)];

pub(super) fn rms_norm<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let (x, weight) = (case.float("x", run.class)?, case.float("weight", run.class)?);
    let spec = RmsNormSpec {
        rows: x.len() / weight.len().max(1),
        dim: weight.len(),
        eps: case.params()?.number("eps")?.into(),
        x: x.dtype,
        weight: weight.dtype,
        out: run.class.out(),
        residual: false,
    };
    Ok(vec![("y".into(), Values::of(run.op(&spec, &[("x", x), ("weight", weight)])?.get("y")?))])
}

pub(super) fn rope_apply<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    let (x, heads, head_dim) = (case.float("x", run.class)?, p.count("heads")?, p.count("head_dim")?);
    let (cos, sin) = (case.scalar_floats("cos", run.class)?, case.scalar_floats("sin", run.class)?);
    let tokens = match heads.checked_mul(head_dim) {
        Some(row) if row > 0 && x.len().is_multiple_of(row) => x.len() / row,
        _ => return fail(format!("`x` {:?} has not rows of {heads} x {head_dim}", x.shape)),
    };
    let positions: Vec<i32> = (0..tokens as i32).collect();
    let spec = RopeSpec {
        tokens,
        heads,
        head_dim,
        positions: tokens,
        x: x.dtype,
        out: run.class.out(),
        table: run.class.wide(),
        pairing: p.one_of("pairing", &PAIRINGS)?,
    };
    let positions = HostTensor::from_i32(&[tokens], &positions)?;
    let out = run.op(&spec, &[("x", x), ("positions", positions), ("cos", cos), ("sin", sin)])?;
    Ok(vec![("y".into(), Values::of(out.get("y")?))])
}
