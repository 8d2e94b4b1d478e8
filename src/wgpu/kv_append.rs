//! Rope and cache write of new tokens: keys, values and queries by themselves, for together they have more operands than WebGPU
//! binds by default.

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
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        let rotation = |launch: Launch, x| launch.rotation(x, self.x, self.positions, self.head_dim, self.pairing);
        let store = |launch: Launch| {
            launch
                .ints(["slots"])
                .store(&self.store, self.kv_heads, self.head_dim)
                .consts([("SCALES", self.scales.into())])
                .counts([("slots", self.store.slots())])
        };
        let scale = self.scales.then_some(DType::F32);
        let keys = store(rotation(Launch::new("kv_append_keys", self.tokens), "k"))
            .reads_if("k_scale", scale)
            .writes("k_cache", self.cache);
        let values = store(Launch::new("kv_append_values", self.tokens))
            .reads("v", self.x)
            .reads_if("v_scale", scale)
            .writes("v_cache", self.cache);
        let queries = rotation(Launch::new("rope", if self.q_heads > 0 { self.tokens } else { 0 }), "q")
            .operand("y", Kind::Writes(self.q_out), "q_out")
            .sizes([("heads", self.q_heads)]);
        Launches::of([keys, values, queries])
    }
}
