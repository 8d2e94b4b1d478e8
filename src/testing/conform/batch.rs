//! Batch invariance: what a sequence gets does not depend on who stands beside it.

use crate::backend::{Provide, Runtime};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::{FlashAttnSpec, KvIndex, KvStore, Lse, Mask, PageLayout, Window};
use crate::testing::harness::{self, Inputs, Options};
use crate::testing::random::Random;

/// Sequences of the large batch, and which of them is watched.
const SEQUENCES: usize = 33;
const WATCHED: usize = 20;
const PAGES: usize = 80;
const PAGE_SIZE: usize = 16;
const MAX_PAGES: usize = 64;

/// What is computed for each sequence.
#[derive(Clone, Copy, Debug)]
struct Call {
    kv: DType,
    window: Option<usize>,
    /// Shares of a sequence's keys, where the spec says.
    splits: Option<usize>,
    queries: usize,
    head_dim: usize,
    /// Of the watched sequence.
    keys: usize,
    /// Most of any other.
    most_keys: usize,
}

const DECODE: Call = Call {
    kv: DType::Bf16,
    window: None,
    splits: None,
    queries: 1,
    head_dim: 64,
    keys: 901,
    most_keys: MAX_PAGES * PAGE_SIZE,
};
/// Of tiles, one of which holds the end of a sequence and the beginning of the next.
const PREFILL: Call = Call { queries: 24, keys: 150, most_keys: 200, ..DECODE };

const CALLS: [Call; 12] = [
    DECODE,
    Call { window: Some(128), ..DECODE },
    Call { splits: Some(1), ..DECODE },
    Call { splits: Some(5), ..DECODE },
    Call { window: Some(100), splits: Some(8), ..DECODE },
    Call { head_dim: 128, ..DECODE },
    Call { kv: DType::F8E4m3, ..DECODE },
    Call { kv: DType::F8E4m3, splits: Some(5), ..DECODE },
    Call { kv: DType::F8E4m3, window: Some(100), splits: Some(8), ..DECODE },
    PREFILL,
    Call { window: Some(128), ..PREFILL },
    Call { head_dim: 128, ..PREFILL },
];

fn spec(sequences: usize, call: Call) -> FlashAttnSpec {
    let Call { kv, window, splits, queries, head_dim, .. } = call;
    FlashAttnSpec {
        sequences,
        q_tokens: sequences * queries,
        max_q_len: queries,
        max_k_len: call.most_keys,
        q_heads: 16,
        kv_heads: 2,
        head_dim,
        q: DType::Bf16,
        kv,
        kv_scales: false,
        out: DType::F32,
        sm_scale: 0.125.into(),
        mask: window.map_or(Mask::Causal, |w| Mask::Sliding(Window::VisibleKeys(w))),
        sinks: Some(DType::F32),
        lse: Lse::WithSink,
        store: KvStore::Paged { pages: PAGES, page_size: PAGE_SIZE, layout: PageLayout::Nhd },
        index: KvIndex::BlockTable { max_pages: MAX_PAGES },
        splits,
    }
}

/// A sequence as it is found: its queries, its pages, its length.
struct Sequence {
    q: HostTensor,
    pages: Vec<i32>,
    k_len: usize,
}

impl Sequence {
    fn new(spec: &FlashAttnSpec, k_len: usize, random: &mut Random) -> Result<Self, Error> {
        let q = random.reals(spec.q, &[spec.max_q_len, spec.q_heads, spec.head_dim], -5.0, 1.5)?;
        Ok(Sequence { q, pages: (0..MAX_PAGES).map(|_| random.below(PAGES) as i32).collect(), k_len })
    }
}

/// What all sequences share: the cache and the sinks.
fn shared(spec: &FlashAttnSpec, random: &mut Random) -> Result<Inputs, Error> {
    let (k, v) = spec.store.shapes(spec.kv_heads, spec.head_dim);
    Ok(vec![
        ("k", random.reals(spec.kv, &k, -5.0, 1.5)?),
        ("v", random.reals(spec.kv, &v, -8.0, 3.0)?),
        ("sinks", random.reals(DType::F32, &[spec.q_heads], -3.0, 1.5)?),
    ])
}

/// The bits of `out` and `lse` of each sequence.
fn attend<B: Runtime + Provide<FlashAttnSpec>>(
    backend: &B,
    spec: &FlashAttnSpec,
    shared: &Inputs,
    batch: &[&Sequence],
) -> Result<Vec<Vec<u8>>, Error> {
    let n = batch.len();
    let q: Vec<u8> = batch.iter().flat_map(|s| s.q.bytes.as_slice().to_vec()).collect();
    let pages: Vec<i32> = batch.iter().flat_map(|s| s.pages.clone()).collect();
    let lens: Vec<i32> = batch.iter().map(|s| s.k_len as i32).collect();
    let cu: Vec<i32> = (0..=n).map(|s| (s * spec.max_q_len) as i32).collect();
    let mut inputs = shared.clone();
    inputs.extend([
        ("q", HostTensor::new(spec.q, &[spec.q_tokens, spec.q_heads, spec.head_dim], q.into())?),
        ("block_table", HostTensor::from_i32(&[n, MAX_PAGES], &pages)?),
        ("k_len", HostTensor::from_i32(&[n], &lens)?),
        ("cu_seqlens_q", HostTensor::from_i32(&[n + 1], &cu)?),
    ]);
    let got = harness::run(backend, spec, &inputs, Options::default())?.no_fault()?;
    let (out, lse) = (got.get("out")?, got.get("lse")?);
    let each = |of: &HostTensor| of.bytes.as_slice().len() / n;
    let rows = out.bytes.as_slice().chunks_exact(each(out)).zip(lse.bytes.as_slice().chunks_exact(each(lse)));
    Ok(rows.map(|(out, lse)| [out, lse].concat()).collect())
}

/// Where a sequence's attention differs in the same plan with other neighbours, or in plans of other batch sizes with the same
/// `splits`: in words, none where it is the same bits everywhere.
///
/// # Errors
/// As [`harness::run`].
pub fn batch_invariant<B: Runtime + Provide<FlashAttnSpec>>(backend: &B) -> Result<Vec<String>, Error> {
    let mut wrong = Vec::new();
    for call in CALLS {
        let (one, many) = (spec(1, call), spec(SEQUENCES, call));
        let mut random = Random::named("batch invariance");
        let shared = shared(&one, &mut random)?;
        let watched = Sequence::new(&one, call.keys, &mut random)?;
        let mut beside = |longest: usize| {
            let lengths: Vec<usize> = (1..SEQUENCES).map(|_| random.below(longest)).collect();
            lengths.into_iter().map(|k_len| Sequence::new(&one, k_len, &mut random)).collect::<Result<Vec<_>, _>>()
        };
        let (few_keys, many_keys) = (beside(20)?, beside(call.most_keys)?);
        let among = |others: &[Sequence]| {
            let mut batch: Vec<&Sequence> = others.iter().collect();
            batch.insert(WATCHED, &watched);
            Ok::<_, Error>(attend(backend, &many, &shared, &batch)?.swap_remove(WATCHED))
        };
        let (first, second) = (among(&few_keys)?, among(&many_keys)?);
        if first != second {
            wrong.push(format!("{call:?}: changes with its neighbours"));
        }
        if call.splits.is_some() && attend(backend, &one, &shared, &[&watched])?.first() != Some(&first) {
            wrong.push(format!("{call:?}: alone it is not what it is in a batch of {SEQUENCES}"));
        }
    }
    Ok(wrong)
}
