//! Attention with sinks: where the sequences are, what is wrong with their pages, and tiles of rows.

mod takes;

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::backend::Hint;
use crate::dtype::DType;
use crate::op::{FlashAttnSpec, KvIndex, KvStore, Lse, Mask, PageLayout};
use dropless_kernels_wgsl::Artifact;
use std::ops::Range;

/// Words of a row of `seqs`.
const SEQUENCE: usize = 8;
/// Parts that keys are shared in, at most: split.wgsl has room for them.
const MAX_SPLITS: usize = 128;
/// Keys of a part, at least.
const LEAST_KEYS: usize = 32;
/// Most of anything that kernels multiply or add up in 32 bits.
const MOST: usize = 1 << 30;

impl FlashAttnSpec {
    /// Query heads of a key head.
    fn heads_each(&self) -> usize {
        self.q_heads / self.kv_heads.max(1)
    }

    /// Rows of a tile, and keys it takes at once: fewer of wider heads, in the same workgroup memory.
    fn blocks(&self, artifact: &Artifact) -> (usize, usize) {
        let wide = self.head_dim.next_power_of_two().max(64) / 64;
        (artifact.size("BLOCK_M") as usize / wide, artifact.size("BLOCK_N") as usize / wide)
    }

    /// Type of the scales of keys and values, where there are any.
    fn scales(&self) -> Option<DType> {
        self.kv_scales.then_some(DType::F32)
    }

    /// Most keys that a sequence's table or rows can hold.
    fn most_keys(&self) -> usize {
        let held = match (self.index, self.store) {
            (KvIndex::BlockTable { max_pages }, KvStore::Paged { page_size, .. }) => {
                max_pages.saturating_mul(page_size)
            }
            (KvIndex::Indptr { .. }, _) => usize::MAX,
            _ => self.store.slots(),
        };
        held.min(self.max_k_len)
    }

    /// What include/sequence.wgsl reads, and what finds sequences: a table that a launch before left, or their lengths.
    fn sequences(&self, launch: Launch, from: &Found) -> Launch {
        let pages = if let KvStore::Paged { pages, .. } = self.store { pages } else { 0 };
        let index = Index::new(&self.index);
        let launch = launch
            .ints_if("pages", index.pages)
            .consts([("INDEX", index.kind), ("CAUSAL", (self.mask != Mask::Bidirectional).into())])
            .counts([("window", self.mask.window().map_or(0, |w| w.min(MOST))), ("pages", pages)])
            .counts([("heads_each", self.heads_each())])
            .sizes([("sequences", self.sequences)]);
        match from {
            Found::Listed(bytes) => launch.scratch("seqs", Kind::Ints, bytes.clone(), 0),
            Found::Each => self.lengths(launch).without("seqs", Kind::Ints),
        }
    }

    /// What flash_attn/lengths.wgsl reads, but the size of pages.
    fn lengths(&self, launch: Launch) -> Launch {
        let index = Index::new(&self.index);
        let upper = match (self.store, self.index) {
            (KvStore::Paged { .. }, KvIndex::Indptr { entries }) => entries,
            (KvStore::Paged { .. }, _) => 0,
            _ => self.store.slots(),
        };
        launch
            .ints(["cu_seqlens_q"])
            .ints_if("k_first", index.first)
            .ints_if("k_len", index.len)
            .counts([("q_tokens", self.q_tokens), ("max_q_len", self.max_q_len)])
            .counts([("most_keys", self.most_keys()), ("upper", upper)])
    }

    fn page_size(&self) -> usize {
        if let KvStore::Paged { page_size, .. } = self.store { page_size } else { 1 }
    }

    /// Clamps lengths and offsets, counts tiles, reports what is wrong with them.
    fn find_sequences(&self, table: &Range<usize>) -> Launch {
        self.lengths(Launch::new("attention_sequences", 1))
            .scratch("seqs", Kind::Ints, table.clone(), 0)
            .status()
            .reads_if("k_scale", self.scales())
            .reads_if("v_scale", self.scales())
            .consts([("INDEX", Index::new(&self.index).kind), ("SCALES", self.kv_scales.into())])
            .sizes([("sequences", self.sequences), ("kv_heads", self.kv_heads), ("page_size", self.page_size())])
            .counts([("heads_each", self.heads_each())])
    }

    /// Reports pages that are not there.
    fn check_pages(&self, from: &Found) -> Launch {
        let paged = matches!(self.store, KvStore::Paged { .. });
        let launch = Launch::new("attention_pages", if paged { self.sequences } else { 0 });
        self.sequences(launch.status().sizes([("page_size", self.page_size())]), from).only_reports()
    }

    /// Most tiles: every sequence may have one that is not full, unless a query fills some.
    fn tiles(&self, block_m: usize) -> usize {
        let heads = self.heads_each();
        if heads.is_multiple_of(block_m) {
            return self.q_tokens.saturating_mul(heads / block_m);
        }
        self.q_tokens.saturating_mul(self.heads_each()).div_ceil(block_m) + self.sequences.min(self.q_tokens)
    }

    /// Workgroups that share the keys of a tile: with MOST_GROUPS of all, a large GPU has all of them at once. Two blocks of keys,
    /// as a window has, are done by one before a launch that puts parts together would have begun.
    fn splits(&self, artifact: &Artifact) -> usize {
        let (block_m, block_n) = self.blocks(artifact);
        let window = self.mask.window().map_or(usize::MAX, |w| w.saturating_add(self.max_q_len.max(1) - 1));
        let keys = self.most_keys().min(window);
        let groups = self.tiles(block_m).saturating_mul(self.kv_heads).max(1);
        let fastest = match keys <= 2 * block_n {
            true => 1,
            false => keys.div_ceil(block_n.max(LEAST_KEYS)).min(artifact.size("MOST_GROUPS") as usize / groups),
        };
        self.splits.unwrap_or(fastest).clamp(1, MAX_SPLITS)
    }

    /// What flash_attn/tile.wgsl reads.
    fn tiled(&self, launch: Launch, splits: usize, from: &Found) -> Launch {
        let split = matches!(self.store, KvStore::Paged { layout: PageLayout::XSplit { .. }, .. });
        let launch = launch
            .consts([
                ("HEAD_DIM", self.head_dim as u32),
                ("SINKS", self.sinks.is_some().into()),
                ("LSE", self.lse as u32),
            ])
            .sizes([
                ("first_step", self.sequences.next_power_of_two()),
                ("minus_infinity", f32::NEG_INFINITY.to_bits() as usize),
            ])
            .counts([("splits", splits)])
            .in_words(self.head_dim.is_multiple_of(4) && !split);
        self.sequences(launch, from)
    }

    /// What becomes of a row.
    fn results(&self, launch: Launch) -> Launch {
        let lse = (self.lse != Lse::None).then_some(DType::F32);
        launch.reads_if("sinks", self.sinks).writes("out", self.out).writes_if("lse", lse)
    }

    /// Elements of a row of what a workgroup found of its part of the keys: the sum, the largest score, the sum of weights.
    fn partial_row(&self) -> usize {
        self.head_dim.next_multiple_of(4) + 4
    }

    fn attend(&self, block_m: usize, splits: usize, from: &Found, partials: Option<Range<usize>>) -> Launch {
        let items = self.tiles(block_m).saturating_mul(self.kv_heads).saturating_mul(splits);
        let launch = Launch::new("flash_attn", items).reads("q", self.q).reads("k", self.kv).reads("v", self.kv);
        let real = Kind::Writes(DType::F32);
        let launch = launch.consts([("SPLIT", partials.is_some().into())]);
        let launch = match partials {
            Some(bytes) => launch
                .scratch("partials", real, bytes, self.partial_row())
                .without("sinks", Kind::Reads(DType::F32))
                .without("out", real)
                .without("lse", real),
            None => self.results(launch.without("partials", real)),
        };
        let launch = launch.store(&self.store, self.kv_heads, self.head_dim);
        let launch = launch.consts([("SCALES", self.kv_scales.into())]).reals([("sm_scale", self.sm_scale.0)]);
        let launch = if let Found::Each = from { launch.status() } else { launch };
        self.tiled(launch, splits, from)
    }

    fn combine(&self, block_m: usize, splits: usize, from: &Found, partials: Range<usize>) -> Launch {
        let items = self.tiles(block_m).saturating_mul(self.kv_heads).saturating_mul(block_m);
        let launch = Launch::new("attention_combine", items);
        let launch = launch.scratch("partials", Kind::Reads(DType::F32), partials, self.partial_row());
        let launch = self.results(launch).sizes([("kv_heads", self.kv_heads), ("dim", self.head_dim)]);
        let launch = launch.without("status", Kind::Status).sizes([("page_size", self.page_size())]);
        self.tiled(launch, splits, from)
    }
}

/// Where a kernel has sequences from.
enum Found {
    /// Bytes of the scratch.
    Listed(Range<usize>),
    /// Each workgroup goes through their lengths.
    Each,
}

/// The operands that find keys, under the names of the kernels.
struct Index {
    kind: u32,
    first: Option<&'static str>,
    len: Option<&'static str>,
    pages: Option<&'static str>,
}

impl Index {
    fn new(index: &KvIndex) -> Self {
        let (kind, first, len, pages) = match index {
            KvIndex::CuSeqlens => (0, Some("cu_seqlens_k"), None, None),
            KvIndex::StartLen => (1, Some("k_start"), Some("k_len"), None),
            KvIndex::BlockTable { .. } => (2, None, Some("k_len"), Some("block_table")),
            KvIndex::Indptr { .. } => (3, Some("kv_indptr"), Some("kv_last_page_len"), Some("kv_indices")),
        };
        Index { kind, first, len, pages }
    }
}

impl WgpuOp for FlashAttnSpec {
    fn limits(&self) -> Result<(), String> {
        let rows = self.q_tokens.max(self.max_q_len).saturating_mul(self.heads_each());
        for (what, n) in
            [("rows of queries", rows), ("keys of a sequence", self.max_k_len), ("sequences", self.sequences)]
        {
            if n > MOST {
                return Err(format!("{n} {what} are more than 2^30"));
            }
        }
        Ok(())
    }

    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        takes::legal(self, artifact)
    }

    fn suits(&self, artifact: &Artifact, _: Hint<'_>) -> Result<(), String> {
        let groups = self.tiles(self.blocks(artifact).0).saturating_mul(self.kv_heads);
        takes::suits(self, artifact, groups)
    }

    fn launches(&self, artifact: &Artifact, device: &Capabilities) -> Result<Launches, String> {
        let (block_m, block_n) = self.blocks(artifact);
        let blocks = |launch: Launch| launch.consts([("BLOCK_M", block_m as u32), ("BLOCK_N", block_n as u32)]);
        let (mut list, mut scratch) = (Vec::new(), 0);
        let from = if artifact.variant.ends_with("few") {
            Found::Each
        } else {
            let scales = if self.kv_scales { 2 * self.kv_heads } else { 0 };
            scratch = (((self.sequences + 1) * SEQUENCE + scales) * 4).next_multiple_of(256);
            list.push(blocks(self.find_sequences(&(0..scratch))));
            Found::Listed(0..scratch)
        };
        list.push(blocks(self.check_pages(&from)));
        let splits = self.splits(artifact);
        // One part of the keys is the whole, where a device binds what becomes of it as well.
        let whole = self.attend(block_m, 1, &from, None);
        let bound = whole.bindings.len() <= device.limits.max_storage_buffers_per_shader_stage as usize;
        if artifact.size("SPLIT") == 0 || splits == 1 && bound {
            list.push(blocks(whole));
            return Ok(Launches { list, scratch });
        }
        let rows = self.q_tokens.saturating_mul(self.q_heads).saturating_mul(splits);
        let end = rows.saturating_mul(self.partial_row() * 4).saturating_add(scratch);
        list.push(blocks(self.attend(block_m, splits, &from, Some(scratch..end))));
        list.push(blocks(self.combine(block_m, splits, &from, scratch..end)));
        Ok(Launches { list, scratch: end })
    }
}
