//! Attention with sinks: where the sequences are, what is wrong with their pages, and tiles of rows.

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::dtype::DType;
use crate::op::{FlashAttnSpec, KvIndex, KvStore, Lse, Mask};
use dropless_kernels_wgsl::Artifact;

/// Words of a row of `seqs`.
const SEQUENCE: usize = 8;
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

    fn index_kind(&self) -> u32 {
        match self.index {
            KvIndex::CuSeqlens => 0,
            KvIndex::StartLen => 1,
            KvIndex::BlockTable { .. } => 2,
            KvIndex::Indptr { .. } => 3,
        }
    }

    /// What include/sequence.wgsl reads.
    fn sequences(&self, launch: Launch, scratch: usize) -> Launch {
        let (table, pages) = match self.index {
            KvIndex::BlockTable { .. } => (Some("block_table"), self.store),
            KvIndex::Indptr { .. } => (Some("kv_indices"), self.store),
            _ => (None, self.store),
        };
        let pages = if let KvStore::Paged { pages, .. } = pages { pages } else { 0 };
        launch
            .scratch("seqs", Kind::Ints, 0..scratch, 0)
            .ints_if(table.is_some(), "pages", table.unwrap_or_default())
            .consts([("INDEX", self.index_kind()), ("CAUSAL", (self.mask != Mask::Bidirectional).into())])
            .counts([("window", self.mask.window().map_or(0, |w| w.min(MOST))), ("pages", pages)])
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

    fn launches(&self, artifact: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        let scratch = (self.sequences + 1) * SEQUENCE * 4;
        let (block_m, block_n) = self.blocks(artifact);
        let blocks = |launch: Launch| launch.consts([("BLOCK_M", block_m as u32), ("BLOCK_N", block_n as u32)]);
        let (page_size, upper) = match (self.store, self.index) {
            (KvStore::Paged { page_size, .. }, KvIndex::Indptr { entries }) => (page_size, entries),
            (KvStore::Paged { page_size, .. }, _) => (page_size, 0),
            _ => (1, self.store.slots()),
        };
        let (first, len) = match self.index {
            KvIndex::CuSeqlens => (Some("cu_seqlens_k"), None),
            KvIndex::StartLen => (Some("k_start"), Some("k_len")),
            KvIndex::BlockTable { .. } => (None, Some("k_len")),
            KvIndex::Indptr { .. } => (Some("kv_indptr"), Some("kv_last_page_len")),
        };
        let sequences = blocks(Launch::new("attention_sequences", 1))
            .ints(["cu_seqlens_q"])
            .ints_if(first.is_some(), "k_first", first.unwrap_or_default())
            .ints_if(len.is_some(), "k_len", len.unwrap_or_default())
            .scratch("seqs", Kind::Ints, 0..scratch, 0)
            .status()
            .consts([("INDEX", self.index_kind())])
            .sizes([("sequences", self.sequences)])
            .counts([
                ("q_tokens", self.q_tokens),
                ("max_q_len", self.max_q_len),
                ("most_keys", self.most_keys()),
                ("upper", upper),
                ("page_size", page_size),
                ("heads_each", self.heads_each()),
            ]);
        let paged = matches!(self.store, KvStore::Paged { .. });
        let pages = Launch::new("attention_pages", if paged { self.sequences } else { 0 }).status();
        let pages = self.sequences(pages, scratch).sizes([("page_size", page_size)]).only_reports();
        // Every sequence may have a tile that is not full.
        let tiles =
            self.q_tokens.saturating_mul(self.heads_each()).div_ceil(block_m) + self.sequences.min(self.q_tokens);
        let attention = blocks(Launch::new("flash_attn", tiles.saturating_mul(self.kv_heads)))
            .reads("q", self.q)
            .reads("k", self.kv)
            .reads("v", self.kv)
            .reads_if("sinks", self.sinks)
            .writes("out", self.out)
            .writes_if("lse", (self.lse != Lse::None).then_some(DType::F32))
            .store(&self.store, self.kv_heads, self.head_dim)
            .consts([
                ("HEAD_DIM", self.head_dim as u32),
                ("SINKS", self.sinks.is_some().into()),
                ("LSE", self.lse as u32),
            ])
            .sizes([
                ("sequences", self.sequences),
                ("first_step", self.sequences.next_power_of_two()),
                ("minus_infinity", f32::NEG_INFINITY.to_bits() as usize),
            ])
            .counts([("heads_each", self.heads_each())])
            .reals([("sm_scale", self.sm_scale.0)]);
        Ok(Launches { list: vec![sequences, pages, self.sequences(attention, scratch)], scratch })
    }
}
