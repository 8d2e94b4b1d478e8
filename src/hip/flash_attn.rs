//! Attention with sinks: matrix units where types and layout allow, f32 for everything else.

mod grid;

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::Backend;
use crate::backend::params::flash_attn::{Params, ScaledParams};
use crate::backend::params::without_scales;
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvStore, Op, PageLayout};
use dropless_kernels_hip::Artifact;
use grid::{packed_rows, prefill_tiles, wave_rows};

/// `MAX_DIM` in flash_attn/simt.cuh.
const MAX_DIM: usize = 256;
/// Most blocks of a launch that is not cut.
const MAX_BLOCKS: usize = 1 << 22;

/// The families of kernels.
enum Family {
    Prefill,
    Fma,
    Scaled,
}

impl Family {
    fn of(artifact: &Artifact) -> Self {
        match artifact.variant {
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
        match Family::of(artifact) {
            Family::Prefill => {
                // With fewer, and so with one query, the blocks of a prefill are few and half empty.
                let (wave, rows) = (wave_rows(artifact), packed_rows(self));
                if rows < wave {
                    Err(format!("a wave has {wave} rows of a sequence, these have {rows}"))
                } else {
                    Ok(())
                }
            }
            Family::Fma | Family::Scaled => Ok(()),
        }
    }

    fn kernel(&self, artifact: &Artifact) -> usize {
        match Family::of(artifact) {
            Family::Prefill => self.matrix_kernel(),
            Family::Fma | Family::Scaled => 0,
        }
    }

    fn launch(plan: &Plan<Self>, args: FlashAttnArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let (op, params) = (&plan.op, Params::new(&plan.op, &args));
        let kernel = op.kernel(plan.artifact);
        let eights = || {
            let reason = "tokens of k or v are 4 GiB apart or more; only the variants `fma` take them".into();
            params.with_eights(op, &args).ok_or(Error::Unsupported { backend: Hip::NAME, op: Self::NAME, reason })
        };
        // Everywhere at least one block: without a query there still are lengths to check.
        let rows = [op.q_tokens.saturating_mul(op.q_heads).max(1), 1];
        match Family::of(plan.artifact) {
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
