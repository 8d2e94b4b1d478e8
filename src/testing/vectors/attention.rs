//! `flash_attn` of the format.

use super::case::{Case, Params, Stop, fail, skip};
use super::values::Values;
use super::{Actual, Runner};
use crate::backend::Replay;
use crate::dtype::DType;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::{FlashAttnSpec, KvIndex, KvStore, Lse, Mask, PageLayout, Window};

type Inputs = Vec<(&'static str, HostTensor)>;

/// The sequences of a case: lengths, and where the packed keys of each start.
struct Sequences {
    q_lens: Vec<usize>,
    k_lens: Vec<usize>,
}

pub(super) fn flash_attn<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    p.only("alignment", "bottom_right")?;
    p.only("gqa", "blocked")?;
    p.only("lse_base", "natural")?;
    let sequences = sequences(&p)?;
    let (q_heads, kv_heads, head_dim) = (p.count("num_q_heads")?, p.count("num_kv_heads")?, p.count("head_dim")?);
    let row = match kv_heads.checked_mul(head_dim) {
        Some(n) if n > 0 => n,
        _ => return fail(format!("{kv_heads} kv heads of {head_dim} elements")),
    };
    let mut inputs: Inputs = vec![("q", case.float("q", run.class)?)];
    inputs.push(("cu_seqlens_q", i32s(&prefix_sums(&sequences.q_lens))?));
    inputs.push(("k_len", i32s(&sequences.k_lens)?));
    let (store, index) = store(run, case, &p, row, sequences.q_lens.len(), &mut inputs)?;
    let sinks = match p.flag("has_sinks")? {
        true => Some(case.float("sinks", run.class)?),
        false => None,
    };
    let spec = FlashAttnSpec {
        sequences: sequences.q_lens.len(),
        q_tokens: sequences.q_lens.iter().sum(),
        max_q_len: sequences.q_lens.iter().copied().max().unwrap_or(0),
        max_k_len: sequences.k_lens.iter().copied().max().unwrap_or(0),
        q_heads,
        kv_heads,
        head_dim,
        q: dtype_of(&inputs, "q"),
        kv: dtype_of(&inputs, "k"),
        kv_scales: false,
        out: run.class.out(),
        sm_scale: p.number("sm_scale")?.into(),
        mask: mask(&p)?,
        sinks: sinks.as_ref().map(|s| s.dtype),
        lse: Lse::WithSink,
        store,
        index,
        splits: None,
    };
    inputs.extend(sinks.map(|s| ("sinks", s)));
    let first = run.op(&spec, &inputs)?;
    let mut actual =
        vec![("out".to_string(), Values::of(first.get("out")?)), ("lse".to_string(), Values::of(first.get("lse")?))];
    if case.wants("lse_nosink") {
        let second = run.op(&FlashAttnSpec { lse: Lse::WithoutSink, ..spec }, &inputs)?;
        if first.get("out")?.bytes.as_slice() != second.get("out")?.bytes.as_slice() {
            return fail("`out` depends on which log-sum-exp is asked for");
        }
        actual.push(("lse_nosink".into(), Values::of(second.get("lse")?)));
    }
    Ok(actual)
}

fn sequences(p: &Params<'_>) -> Result<Sequences, Stop> {
    let (q_lens, k_lens) = (p.counts("q_lens")?, p.counts("k_lens")?);
    if q_lens.len() != k_lens.len() {
        return fail(format!("{} q_lens, but {} k_lens", q_lens.len(), k_lens.len()));
    }
    let most = i32::MAX as usize;
    let total = |lens: &[usize]| lens.iter().try_fold(0usize, |n, l| n.checked_add(*l)).is_some_and(|n| n <= most);
    if !total(&q_lens) || !total(&k_lens) {
        return fail("lengths that do not fit i32");
    }
    if p.has("q_offsets") {
        let given = p.integers("q_offsets")?;
        let bottom_right = q_lens.iter().zip(&k_lens).map(|(q, k)| *k as i64 - *q as i64);
        if !bottom_right.eq(given.iter().copied()) {
            return skip(format!("q_offsets {given:?} are not k_lens - q_lens"));
        }
    }
    Ok(Sequences { q_lens, k_lens })
}

fn mask(p: &Params<'_>) -> Result<Mask, Stop> {
    match (p.flag("causal")?, p.count("window")?) {
        (true, 0) => Ok(Mask::Causal),
        (true, w) => Ok(Mask::Sliding(Window::VisibleKeys(w))),
        (false, 0) => Ok(Mask::Bidirectional),
        (false, w) => skip(format!("a window of {w} without causal is not supported")),
    }
}

fn store<B: Replay + AllOps>(
    run: &Runner<'_, B>,
    case: &Case<'_>,
    p: &Params<'_>,
    row: usize,
    sequences: usize,
    inputs: &mut Inputs,
) -> Result<(KvStore, KvIndex), Stop> {
    let paged = p.one_of("kv_layout", &[("packed", false), ("paged", true)])?;
    let (k, v) = if paged { ("k_pages", "v_pages") } else { ("k", "v") };
    let (k, v) = (case.float(k, run.class)?, case.float(v, run.class)?);
    if k.dtype != v.dtype {
        return skip(format!("keys of {} beside values of {}", k.dtype, v.dtype));
    }
    let elements = k.len();
    inputs.extend([("k", k), ("v", v)]);
    if !paged {
        let starts = p.counts("k_starts")?;
        if starts.len() != sequences {
            return fail(format!("{} k_starts for {sequences} sequences", starts.len()));
        }
        inputs.push(("k_start", i32s(&starts)?));
        return Ok((KvStore::Packed { tokens: elements / row }, KvIndex::StartLen));
    }
    let page_size = p.count("page_size")?;
    let layout = p.one_of("page_layout", &[("NHD", PageLayout::Nhd), ("HND", PageLayout::Hnd)])?;
    let page = match page_size.checked_mul(row) {
        Some(n) if n > 0 => n,
        _ => return fail(format!("pages of {page_size} tokens")),
    };
    let table = case.i32s("block_table")?;
    let max_pages = table.len() / sequences.max(1);
    inputs.push(("block_table", HostTensor::from_i32(&[sequences, max_pages], &table)?));
    Ok((KvStore::Paged { pages: elements / page, page_size, layout }, KvIndex::BlockTable { max_pages }))
}

fn prefix_sums(lens: &[usize]) -> Vec<usize> {
    let mut sums = vec![0];
    sums.extend(lens.iter().scan(0, |sum, n| {
        *sum += n;
        Some(*sum)
    }));
    sums
}

fn i32s(values: &[usize]) -> Result<HostTensor, Stop> {
    let narrow: Result<Vec<i32>, _> = values.iter().map(|v| i32::try_from(*v)).collect();
    match narrow {
        Ok(narrow) => Ok(HostTensor::from_i32(&[narrow.len()], &narrow)?),
        Err(_) => fail("lengths that do not fit i32"),
    }
}

fn dtype_of(inputs: &Inputs, name: &str) -> DType {
    inputs.iter().find(|(n, _)| *n == name).map_or(DType::F32, |(_, t)| t.dtype)
}
