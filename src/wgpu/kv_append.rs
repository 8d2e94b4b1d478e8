//! Rope and cache write of new tokens: in one launch where a device binds as many operands; keys, values and queries by themselves
//! within WebGPU's defaults.

use super::device::Capabilities;
use super::launch::{Kind, Launch};
use super::plan::{Launches, WgpuOp};
use crate::dtype::DType;
use crate::op::{KvAppendSpec, KvStore, PageLayout};
use dropless_kernels_wgsl::Artifact;

impl Launch {
    /// What include/kv_store.wgsl reads.
    pub(super) fn store(self, store: &KvStore, heads: usize, dim: usize) -> Self {
        let (layout, page_size, x) = match *store {
            KvStore::Packed { .. } => (0, 1, 1),
            KvStore::Paged { page_size, layout: PageLayout::Nhd, .. } => (1, page_size, 1),
            KvStore::Paged { page_size, layout: PageLayout::Hnd, .. } => (2, page_size, 1),
            KvStore::Paged { page_size, layout: PageLayout::XSplit { x }, .. } => (3, page_size, x),
        };
        self.consts([("LAYOUT", layout)]).sizes([
            ("page_size", page_size),
            ("x_run", x),
            ("kv_heads", heads),
            ("dim", dim),
        ])
    }
}

impl WgpuOp for KvAppendSpec {
    fn launches(&self, artifact: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        let (table, scale) = ((self.positions, self.head_dim, self.pairing), self.scales.then_some(DType::F32));
        let rotation = |launch: Launch, x| launch.operand("x", Kind::Reads(self.x), x).rotation(table);
        let store = |launch: Launch| {
            launch
                .ints(["slots"])
                .store(&self.store, self.kv_heads, self.head_dim)
                .consts([("SCALES", self.scales.into())])
                .counts([("slots", self.store.slots())])
        };
        let keys = |launch: Launch| store(launch).reads_if("k_scale", scale).writes("k_cache", self.cache);
        let values =
            |launch: Launch| launch.reads("v", self.x).reads_if("v_scale", scale).writes("v_cache", self.cache);
        let queries = |launch: Launch| launch.sizes([("heads", self.q_heads)]);
        let rotated = Kind::Writes(self.q_out);
        if artifact.variant == "together" {
            let twos = self.head_dim.div_ceil(4);
            let each = (self.q_heads + self.kv_heads) * twos + self.kv_heads * (self.head_dim / 2);
            let blocks = each.div_ceil(artifact.size("THREADS") as usize);
            let launch = keys(Launch::new("kv_append", self.tokens.saturating_mul(blocks)).rotation(table));
            let launch = queries(values(launch.reads("k", self.x))).sizes([("blocks", blocks)]);
            let launch = match self.q_heads {
                0 => launch.without("q", Kind::Reads(self.x)).without("y", rotated),
                _ => launch.reads("q", self.x).operand("y", rotated, "q_out"),
            };
            return Launches::of([launch]);
        }
        let tokens = if self.q_heads > 0 { self.tokens } else { 0 };
        Launches::of([
            keys(rotation(Launch::new("kv_append_keys", self.tokens), "k")),
            values(store(Launch::new("kv_append_values", self.tokens))),
            queries(rotation(Launch::new("rope", tokens), "q")).operand("y", rotated, "q_out"),
        ])
    }
}
