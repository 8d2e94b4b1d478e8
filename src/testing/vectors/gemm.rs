//! `grouped_gemm` of the format.

use super::case::{Case, Stop, fail, skip};
use super::moe_ops::swiglu_params;
use super::values::Values;
use super::{Actual, Class, Runner};
use crate::backend::Replay;
use crate::dtype::DType;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::{Combine, Epilogue, Gather, GroupedGemmSpec, LocalExperts, WeightFormat};
use std::collections::BTreeMap;

/// Two U8 inputs as MXFP4 blocks and scales.
pub(super) fn mxfp4_inputs(
    case: &Case<'_>,
    blocks: &str,
    scales: &str,
) -> Result<[(&'static str, HostTensor); 2], Stop> {
    let (mut blocks, mut scales) = (case.bytes(blocks)?, case.bytes(scales)?);
    (blocks.dtype, scales.dtype) = (DType::E2m1x2, DType::E8m0);
    Ok([("w", blocks), ("w_scales", scales)])
}

pub(super) fn grouped_gemm<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    let (experts, n, k, rows) = (p.count("E")?, p.count("N")?, p.count("K")?, p.count("rows")?);
    let x = case.float("x", run.class)?;
    let mut inputs = Vec::new();
    let weights = match p.one_of("weight_format", &[("mxfp4_openai", true), ("bf16", false)])? {
        true => {
            inputs.extend(mxfp4_inputs(case, "w_blocks", "w_scales")?);
            WeightFormat::Mxfp4
        }
        false => {
            let w = case.float("w", run.class)?;
            let w = match p.one_of("weight_layout", &[("enk", false), ("ekn", true)])? {
                true => transposed(&w, experts, k, n)?,
                false => w,
            };
            let dtype = w.dtype;
            inputs.push(("w", w));
            WeightFormat::Dense(dtype)
        }
    };
    let bias = if p.flag("bias")? { Some(case.float("bias", run.class)?) } else { None };
    let epilogue = p.inner("epilogue")?;
    let epilogue = match epilogue.one_of("kind", &[("none", false), ("swiglu_clamped", true)])? {
        true => Epilogue::Swiglu(swiglu_params(&epilogue)?),
        false => Epilogue::None,
    };
    let offsets = offsets(&case.i32s("group_sizes")?, experts, rows)?;
    let owned = offsets.last().map_or(0, |last| *last as usize);
    inputs.push(("offsets", HostTensor::from_i32(&[experts + 1], &offsets)?));
    let gather = match p.flag("gather")? {
        true => {
            inputs.push(("row_index", case.tensor("row_index")?));
            Some(Gather { input_rows: x.len() / k.max(1), divide: 1 })
        }
        false => None,
    };
    let columns = if epilogue == Epilogue::None { n } else { n / 2 };
    let combine = match p.one_of("scatter", &[("none", false), ("weighted_sum", true)])? {
        true => {
            let tokens = p.count("out_rows")?;
            case.expect_len("y", tokens.checked_mul(columns))?;
            Some(combine(case, run.class, tokens, rows, &mut inputs)?)
        }
        false => {
            case.expect_len("y", rows.checked_mul(columns))?;
            None
        }
    };
    let spec = GroupedGemmSpec {
        experts,
        local: LocalExperts { first: 0, count: experts },
        rows,
        n,
        k,
        a: x.dtype,
        weights,
        bias: bias.as_ref().map(|b| b.dtype),
        d: run.class.out(),
        epilogue,
        grouped: true,
        gather,
        combine,
    };
    inputs.push(("a", x));
    inputs.extend(bias.map(|b| ("bias", b)));
    let mut y = Values::of(run.op(&spec, &inputs)?.get("d")?);
    if combine.is_none() {
        // Rows that no group owns are zero in the format, and not written by the op.
        y.data.iter_mut().skip(owned * spec.n_out()).for_each(|v| *v = 0.0);
    }
    Ok(vec![("y".into(), y)])
}

fn offsets(sizes: &[i32], experts: usize, rows: usize) -> Result<Vec<i32>, Stop> {
    let mut offsets = vec![0i32];
    for size in sizes {
        let next = offsets.last().and_then(|o| o.checked_add(*size)).filter(|o| *size >= 0 && *o as usize <= rows);
        let Some(next) = next else { return fail(format!("group_sizes {sizes:?} do not fit {rows} rows")) };
        offsets.push(next);
    }
    match sizes.len() == experts {
        true => Ok(offsets),
        false => fail(format!("{} group_sizes for {experts} experts", sizes.len())),
    }
}

/// \[E, K, N\] as \[E, N, K\].
fn transposed(w: &HostTensor, experts: usize, k: usize, n: usize) -> Result<HostTensor, Stop> {
    let (size, bytes) = (w.dtype.bytes(), w.bytes.as_slice());
    let total = experts.checked_mul(k).and_then(|x| x.checked_mul(n));
    if total != Some(w.len()) {
        return fail(format!("`w` has {} elements, expected {experts} x {k} x {n}", w.len()));
    }
    if w.is_empty() {
        // Not a loop over dimensions that one of 0 makes free.
        return Ok(HostTensor { shape: vec![experts, n, k], ..w.clone() });
    }
    let mut out = Vec::with_capacity(bytes.len());
    for (e, col) in (0..experts).flat_map(|e| (0..n).map(move |col| (e, col))) {
        for row in 0..k {
            let at = ((e * k + row) * n + col) * size;
            out.extend_from_slice(&bytes[at..at + size]);
        }
    }
    Ok(HostTensor::new(w.dtype, &[experts, n, k], out.into())?)
}

/// Most places for summands that a scatter is given: every token has as many as the one with the most.
const MOST_SUMMANDS: usize = 1 << 28;

/// Scatter (a token and a weight for each row) as combine (rows and weights for each token, in ascending row order).
fn combine(
    case: &Case<'_>,
    class: Class,
    tokens: usize,
    rows: usize,
    inputs: &mut Vec<(&'static str, HostTensor)>,
) -> Result<Combine, Stop> {
    let (index, weight) = (case.i32s("out_index")?, case.scalar_floats("row_weight", class)?);
    if index.len() != rows || weight.len() != rows {
        return fail(format!("{} out_index and {} row_weight for {rows} rows", index.len(), weight.len()));
    }
    let mut rows_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, token) in index.iter().enumerate() {
        match usize::try_from(*token).ok().filter(|t| *t < tokens) {
            Some(token) => rows_of.entry(token).or_default().push(row),
            None => return fail(format!("out_index[{row}] is {token}, out_rows {tokens}")),
        }
    }
    let top_k = rows_of.values().map(Vec::len).max().unwrap_or(1);
    let summands = tokens.saturating_mul(top_k);
    if summands > MOST_SUMMANDS {
        return skip(format!("{tokens} rows of up to {top_k} summands are more than {MOST_SUMMANDS}"));
    }
    let (mut row_of, mut weights) = (vec![-1i32; summands], vec![0.0; summands]);
    let values = weight.to_f64();
    for (token, list) in &rows_of {
        for (slot, row) in list.iter().enumerate() {
            (row_of[token * top_k + slot], weights[token * top_k + slot]) = (*row as i32, values[*row]);
        }
    }
    inputs.push(("row_of", HostTensor::from_i32(&[summands], &row_of)?));
    inputs.push(("combine_weight", HostTensor::from_f64(class.wide(), &[tokens, top_k], &weights)?));
    Ok(Combine { tokens, top_k, weight: class.wide() })
}
