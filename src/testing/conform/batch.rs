//! Batch-invariant decoding: what a sequence gets does not depend on who stands beside it.

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
/// Keys that it has.
const KEYS: usize = 901;
const PAGES: usize = 80;
const PAGE_SIZE: usize = 16;
const MAX_PAGES: usize = 64;

/// A decode of `sequences`, its keys of this type in so many shares.
fn spec(sequences: usize, kv: DType, window: Option<usize>, splits: Option<usize>) -> FlashAttnSpec {
    FlashAttnSpec {
        sequences,
        q_tokens: sequences,
        max_q_len: 1,
        max_k_len: MAX_PAGES * PAGE_SIZE,
        q_heads: 16,
        kv_heads: 2,
        head_dim: 64,
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

/// A sequence as its decode finds it: its query, its pages, its length.
struct Sequence {
    q: HostTensor,
    pages: Vec<i32>,
    k_len: usize,
}

impl Sequence {
    fn new(spec: &FlashAttnSpec, k_len: usize, random: &mut Random) -> Result<Self, Error> {
        let q = random.reals(spec.q, &[1, spec.q_heads, spec.head_dim], -5.0, 1.5)?;
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
fn decode<B: Runtime + Provide<FlashAttnSpec>>(
    backend: &B,
    spec: &FlashAttnSpec,
    shared: &Inputs,
    batch: &[&Sequence],
) -> Result<Vec<Vec<u8>>, Error> {
    let n = batch.len();
    let q: Vec<u8> = batch.iter().flat_map(|s| s.q.bytes.as_slice().to_vec()).collect();
    let pages: Vec<i32> = batch.iter().flat_map(|s| s.pages.clone()).collect();
    let lens: Vec<i32> = batch.iter().map(|s| s.k_len as i32).collect();
    let cu: Vec<i32> = (0..=n as i32).collect();
    let mut inputs = shared.clone();
    inputs.extend([
        ("q", HostTensor::new(spec.q, &[n, spec.q_heads, spec.head_dim], q.into())?),
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

/// Where a sequence's decode differs in the same plan with other neighbours, or in plans of other batch sizes with the same
/// `splits`: in words, none where it is the same bits everywhere.
///
/// # Errors
/// As [`harness::run`].
pub fn batch_invariant<B: Runtime + Provide<FlashAttnSpec>>(backend: &B) -> Result<Vec<String>, Error> {
    let mut wrong = Vec::new();
    let calls = [(None, None), (Some(128), None), (None, Some(1)), (None, Some(5)), (Some(100), Some(8))];
    let bf16 = calls.map(|(window, splits)| (DType::Bf16, window, splits));
    let narrow = [(None, None), (None, Some(5)), (Some(100), Some(8))].map(|(w, s)| (DType::F8E4m3, w, s));
    for (kv, window, splits) in bf16.into_iter().chain(narrow) {
        let (one, many) = (spec(1, kv, window, splits), spec(SEQUENCES, kv, window, splits));
        let mut random = Random::named("batch invariance");
        let shared = shared(&one, &mut random)?;
        let watched = Sequence::new(&one, KEYS, &mut random)?;
        let mut beside = |longest: usize| {
            let lengths: Vec<usize> = (1..SEQUENCES).map(|_| random.below(longest)).collect();
            lengths.into_iter().map(|k_len| Sequence::new(&one, k_len, &mut random)).collect::<Result<Vec<_>, _>>()
        };
        let (few_keys, many_keys) = (beside(20)?, beside(MAX_PAGES * PAGE_SIZE)?);
        let among = |others: &[Sequence]| {
            let mut batch: Vec<&Sequence> = others.iter().collect();
            batch.insert(WATCHED, &watched);
            Ok::<_, Error>(decode(backend, &many, &shared, &batch)?.swap_remove(WATCHED))
        };
        let (first, second) = (among(&few_keys)?, among(&many_keys)?);
        let name = format!("{kv}, window {window:?}, splits {splits:?}");
        if first != second {
            wrong.push(format!("{name}: changes with its neighbours"));
        }
        if splits.is_some() && decode(backend, &one, &shared, &[&watched])?.first() != Some(&first) {
            wrong.push(format!("{name}: alone it is not what it is in a batch of {SEQUENCES}"));
        }
    }
    Ok(wrong)
}
