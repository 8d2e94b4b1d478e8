//! Attention with sinks: matrix units where types and layout allow, f32 for everything else.

mod grid;

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::flash_attn::{Params, ScaledParams};
use crate::backend::params::without_scales;
use crate::backend::{Backend, DeviceInfo};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvStore, Op, PageLayout};
use dropless_kernels_hip::Artifact;
use grid::{Decode, decode_blocks, packed_rows, prefill_tiles};

/// `MAX_DIM` in flash_attn/simt.cuh.
const MAX_DIM: usize = 256;
/// Most blocks of a launch that is not cut.
const MAX_BLOCKS: usize = 1 << 22;

/// Rows that a wave multiplies together.
const ROWS: usize = 16;
/// The kernels of `mfma_decode` that combine lie behind those of all types and head sizes.
const COMBINE: usize = 4;

/// The families of kernels.
enum Family {
    Decode,
    Prefill,
    Fma,
    Scaled,
}

impl Family {
    fn of(artifact: &Artifact) -> Self {
        match artifact.variant {
            "mfma_decode" => Family::Decode,
            "mfma_prefill" | "wmma_prefill" => Family::Prefill,
            "fma_scaled" => Family::Scaled,
            _ => Family::Fma,
        }
    }
}

impl FlashAttnSpec {
    /// Position of a kernel among those of all types and head sizes.
    fn matrix_kernel(&self) -> usize {
        2 * usize::from(self.q == DType::F16) + usize::from(self.head_dim == 128)
    }

    fn matrix_units_take_it(&self) -> Result<(), String> {
        without_scales(self.kv, self.kv_scales)?;
        if self.q != self.kv || !matches!(self.q, DType::Bf16 | DType::F16) {
            return Err(format!("q and k must be bf16 or f16 alike, they are {} and {}", self.q, self.kv));
        }
        if !matches!(self.head_dim, 64 | 128) {
            return Err(format!("head_dim must be 64 or 128, it is {}", self.head_dim));
        }
        // The largest product must be the largest score, and a masked one -infinity after scaling too.
        if self.sm_scale.0 < f64::from(f32::MIN_POSITIVE) {
            return Err(format!("sm_scale must be a positive normal f32, it is {}", self.sm_scale.0));
        }
        match self.store {
            KvStore::Paged { layout: PageLayout::XSplit { .. }, .. } => {
                Err("elements of a key must lie together, a cache split by x scatters them".into())
            }
            KvStore::Paged { page_size, .. } if page_size < 8 || !page_size.is_power_of_two() => {
                Err(format!("page_size must be a power of two from 8 on, it is {page_size}"))
            }
            _ => Ok(()),
        }
    }
}

impl HipOp for FlashAttnSpec {
    fn limits(&self) -> Result<(), String> {
        match i32::try_from(packed_rows(self).max(self.q_heads)) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("{} queries of {} heads are more than 2^31 - 1", self.max_q_len, self.q_heads)),
        }
    }

    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        if self.head_dim > MAX_DIM {
            return Err(format!("takes a head_dim of up to {MAX_DIM}, it is {}", self.head_dim));
        }
        match Family::of(artifact) {
            Family::Decode => {
                self.matrix_units_take_it()?;
                few_enough(decode_blocks(self, artifact).1)
            }
            Family::Prefill => {
                self.matrix_units_take_it()?;
                few_enough(prefill_tiles(self, artifact).saturating_mul(self.kv_heads))
            }
            Family::Fma => without_scales(self.kv, self.kv_scales),
            Family::Scaled => match without_scales(self.kv, self.kv_scales) {
                Ok(()) => Err("made for caches of f8e4m3, or with scales".into()),
                Err(_) => Ok(()),
            },
        }
    }

    fn suits(&self, artifact: &Artifact) -> Result<(), String> {
        let rows = packed_rows(self);
        match Family::of(artifact) {
            // Two tiles read the keys twice, from the cache of the device.
            Family::Decode if rows > 2 * ROWS => {
                Err(format!("made for up to {} queries times heads of a key head, these are {rows}", 2 * ROWS))
            }
            // With one query the blocks of a prefill are few and half empty.
            Family::Prefill if rows < ROWS => Err(format!("a wave has {ROWS} rows of a sequence, these have {rows}")),
            _ => Ok(()),
        }
    }

    fn kernel(&self, artifact: &Artifact) -> usize {
        match Family::of(artifact) {
            Family::Decode | Family::Prefill => self.matrix_kernel(),
            Family::Fma | Family::Scaled => 0,
        }
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        match Family::of(artifact) {
            Family::Decode => Decode::new(self, artifact, device).scratch_bytes(self, artifact),
            _ => 0,
        }
    }

    fn launch(plan: &Plan<Self>, args: FlashAttnArgs<'_, Hip>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let (op, params) = (&plan.op, Params::new(&plan.op, &args));
        let kernel = op.kernel(plan.artifact);
        let eights = || {
            let reason = "tokens of k or v are 4 GiB apart or more; only the variants `fma` take them".into();
            params.with_eights(op, &args).ok_or(Error::Unsupported { backend: Hip::NAME, op: Self::NAME, reason })
        };
        // Everywhere at least one block: without a query there still are lengths to check.
        let rows = [op.q_tokens.saturating_mul(op.q_heads).max(1), 1];
        match Family::of(plan.artifact) {
            Family::Decode => {
                let Decode { tiles, blocks, splits } = Decode::new(op, plan.artifact, plan.info());
                let params = eights()?.with_splits(scratch, splits as i32, tiles as i32);
                plan.record(kernel, [(blocks * splits).max(1), 1], stream, &params)?;
                if splits == 1 {
                    return Ok(());
                }
                plan.record(COMBINE + usize::from(op.head_dim == 128), [blocks, 1], stream, &params)
            }
            Family::Prefill => {
                let tiles = prefill_tiles(op, plan.artifact);
                let params = eights()?.with_splits(0, 1, tiles as i32);
                plan.record(kernel, [tiles * op.kv_heads, 1], stream, &params)
            }
            Family::Fma => plan.record(kernel, rows, stream, &params),
            Family::Scaled => plan.record(kernel, rows, stream, &ScaledParams::new(params, &args)),
        }
    }
}

/// As many as one launch may have, far from 2^32 threads.
fn few_enough(blocks: usize) -> Result<(), String> {
    if blocks > MAX_BLOCKS { Err(format!("{blocks} blocks are more than {MAX_BLOCKS}")) } else { Ok(()) }
}
