//! Attention with sinks: tensor cores where types and layout allow, f32 for everything else.

mod decode_sm90;
mod grid;
mod prefill_sm90;
#[cfg(all(test, feature = "testing"))]
mod tests;

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::flash_attn::{Params, ScaledParams};
use crate::backend::params::without_scales;
use crate::backend::{Backend, DeviceInfo, Hint};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvStore, Op, PageLayout};
use decode_sm90::ClusterDecode;
use dropless_kernels_cuda::Artifact;
use grid::{Decode, decode_blocks, decode_rows, packed_rows, prefill_shared_bytes, prefill_tiles};
use prefill_sm90::TmaPrefill;

/// The families of kernels.
enum Family<'a> {
    ClusterDecode(ClusterDecode<'a>),
    TmaPrefill(TmaPrefill<'a>),
    Decode,
    Prefill,
    /// The same for keys of f8e4m3.
    NarrowPrefill,
    Rebased,
    Simt,
    Scaled,
}

impl<'a> Family<'a> {
    fn of(artifact: &'a Artifact) -> Self {
        match artifact.variant {
            "sm80_decode" => Family::Decode,
            "sm80_prefill" => Family::Prefill,
            "sm80_prefill_e4m3" => Family::NarrowPrefill,
            "sm75" => Family::Rebased,
            "simt" => Family::Simt,
            "simt_scaled" => Family::Scaled,
            _ if artifact.block_k > 0 => Family::TmaPrefill(TmaPrefill(artifact)),
            _ => Family::ClusterDecode(ClusterDecode(artifact)),
        }
    }
}

impl FlashAttnSpec {
    /// Position of a kernel among those of all types and head sizes.
    fn type_and_dim(&self) -> usize {
        2 * usize::from(self.q == DType::F16) + usize::from(self.head_dim == 128)
    }

    fn decode(&self, plan: &Plan<Self>, params: Params, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let grid = Decode::new(self, plan.artifact, plan.info());
        let (blocks, splits, tiles) = (decode_blocks(self, plan.artifact), grid.splits as i32, grid.tiles as i32);
        let params = params.with_splits(scratch, splits, tiles);
        plan.record(self.decode_kernel(plan.artifact), [(blocks * grid.splits).max(1), 1, 1], stream, &params)?;
        if grid.splits == 1 {
            return Ok(());
        }
        plan.record(self.combine_kernel(plan.artifact), [blocks, 1, 1], stream, &params)
    }

    /// Of `sm80_decode`: for half of the most rows or all of them.
    fn decode_kernel(&self, artifact: &Artifact) -> usize {
        2 * self.type_and_dim() + usize::from(decode_rows(self, artifact) == artifact.block_m as usize)
    }

    /// The kernels that combine lie behind those of all types.
    fn combine_kernel(&self, artifact: &Artifact) -> usize {
        let wide = decode_rows(self, artifact) == artifact.block_m as usize;
        8 + 2 * usize::from(self.head_dim == 128) + usize::from(wide)
    }

    /// Of `sm75`.
    fn rebased_kernel(&self) -> usize {
        usize::from(self.head_dim == 128)
    }

    /// A block each, one at least.
    fn rows_of_heads(&self) -> [usize; 3] {
        [self.q_tokens.saturating_mul(self.q_heads).max(1), 1, 1]
    }

    fn tensor_cores_take_it(&self) -> Result<(), String> {
        if self.q != self.kv {
            return Err(format!("q and k must be bf16 or f16 alike, they are {} and {}", self.q, self.kv));
        }
        self.halves_take_it()?;
        self.keys_lie_together()
    }

    /// What the variant for caches of f8e4m3 asks for.
    fn e4m3_takes_it(&self) -> Result<(), String> {
        if self.kv != DType::F8E4m3 || !matches!(self.q, DType::Bf16 | DType::F16) {
            return Err(format!("made for k of f8e4m3 and q of bf16 or f16, they are {} and {}", self.kv, self.q));
        }
        self.products_take_it()?;
        self.keys_lie_together()
    }

    fn keys_lie_together(&self) -> Result<(), String> {
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

    /// What every variant on tensor cores asks for.
    fn halves_take_it(&self) -> Result<(), String> {
        for (name, of) in [("q", self.q), ("k", self.kv)] {
            if !matches!(of, DType::Bf16 | DType::F16) {
                return Err(format!("`{name}` must be bf16 or f16, it is {of}"));
            }
        }
        without_scales(self.kv, self.kv_scales)?;
        self.products_take_it()
    }

    fn products_take_it(&self) -> Result<(), String> {
        if !matches!(self.head_dim, 64 | 128) {
            return Err(format!("head_dim must be 64 or 128, it is {}", self.head_dim));
        }
        // The largest product must be the largest score, and a masked one -infinity after scaling too.
        if self.sm_scale.0 < f64::from(f32::MIN_POSITIVE) {
            return Err(format!("sm_scale must be a positive normal f32, it is {}", self.sm_scale.0));
        }
        Ok(())
    }
}

fn prefill_blocks(op: &FlashAttnSpec, artifact: &Artifact) -> usize {
    prefill_tiles(op, artifact).saturating_mul(op.kv_heads)
}

impl CudaOp for FlashAttnSpec {
    fn limits(&self) -> Result<(), String> {
        match i32::try_from(packed_rows(self).max(self.q_heads)) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("{} queries of {} heads are more than 2^31 - 1", self.max_q_len, self.q_heads)),
        }
    }

    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        match Family::of(artifact) {
            Family::ClusterDecode(kernel) if kernel.e4m3() => self.e4m3_takes_it().and_then(|()| kernel.legal(self)),
            Family::ClusterDecode(kernel) => self.tensor_cores_take_it().and_then(|()| kernel.legal(self)),
            Family::TmaPrefill(kernel) => self.tensor_cores_take_it().and_then(|()| kernel.legal(self)),
            Family::Decode => self.tensor_cores_take_it().and_then(|()| few_enough(decode_blocks(self, artifact))),
            Family::Prefill => self.tensor_cores_take_it().and_then(|()| few_enough(prefill_blocks(self, artifact))),
            Family::NarrowPrefill => self.e4m3_takes_it().and_then(|()| few_enough(prefill_blocks(self, artifact))),
            Family::Rebased => self.halves_take_it().and_then(|()| few_enough(prefill_blocks(self, artifact))),
            Family::Simt => without_scales(self.kv, self.kv_scales),
            Family::Scaled => match without_scales(self.kv, self.kv_scales) {
                Ok(()) => Err("made for caches of f8e4m3, or with scales".into()),
                Err(_) => Ok(()),
            },
        }
    }

    fn suits(&self, artifact: &Artifact, device: &DeviceInfo, _: Hint<'_>) -> Result<(), String> {
        match Family::of(artifact) {
            Family::ClusterDecode(kernel) => few_rows(self, artifact).and_then(|()| kernel.suits(self, device)),
            Family::TmaPrefill(kernel) => kernel.suits(self),
            Family::Decode => few_rows(self, artifact),
            Family::Prefill | Family::NarrowPrefill | Family::Rebased | Family::Simt | Family::Scaled => Ok(()),
        }
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        match Family::of(artifact) {
            Family::ClusterDecode(kernel) => kernel.most_shared_bytes(self),
            Family::TmaPrefill(kernel) => kernel.shared_bytes(),
            Family::Prefill | Family::NarrowPrefill => prefill_shared_bytes(self, artifact),
            Family::Decode | Family::Rebased | Family::Simt | Family::Scaled => 0,
        }
    }

    fn cluster(&self, artifact: &Artifact, device: &DeviceInfo) -> u32 {
        match Family::of(artifact) {
            Family::ClusterDecode(kernel) => kernel.cluster(self, device),
            _ => 1,
        }
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        match Family::of(artifact) {
            Family::Decode => Decode::new(self, artifact, device).scratch_bytes(self, artifact),
            _ => 0,
        }
    }

    fn launch(
        plan: &Plan<Self>,
        args: FlashAttnArgs<'_, Cuda>,
        scratch: u64,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let (op, params) = (&plan.op, Params::new(&plan.op, &args));
        // Everywhere at least one block: without a query there still are lengths to check.
        let eights = || {
            let reason =
                "tokens of k or v are 4 GiB apart or more; only the variants without tensor cores take them".into();
            params.with_eights(op, &args).ok_or(Error::Unsupported { backend: Cuda::NAME, op: Self::NAME, reason })
        };
        match Family::of(plan.artifact) {
            Family::ClusterDecode(kernel) => kernel.launch(plan, eights()?, &args, stream),
            Family::TmaPrefill(kernel) => kernel.launch(plan, eights()?, &args, stream),
            Family::Decode => op.decode(plan, eights()?, scratch, stream),
            family @ (Family::Prefill | Family::NarrowPrefill) => {
                let mut params = eights()?;
                let tiles = prefill_tiles(op, plan.artifact);
                params.tiles = tiles as i32;
                let grid = [tiles * op.kv_heads, 1, 1];
                if matches!(family, Family::Prefill) {
                    return plan.record(op.type_and_dim(), grid, stream, &params);
                }
                plan.record(op.type_and_dim(), grid, stream, &ScaledParams::new(params, &args))
            }
            Family::Rebased => {
                let tiles = prefill_tiles(op, plan.artifact);
                let params = params.with_splits(0, 1, tiles as i32);
                plan.record(op.rebased_kernel(), [tiles * op.kv_heads, 1, 1], stream, &params)
            }
            Family::Simt => plan.record(0, op.rows_of_heads(), stream, &params),
            Family::Scaled => plan.record(0, op.rows_of_heads(), stream, &ScaledParams::new(params, &args)),
        }
    }
}

/// Far from the most that a launch may have, splits and all.
fn few_enough(blocks: usize) -> Result<(), String> {
    if blocks > 1 << 30 { Err(format!("{blocks} blocks are more than 2^30")) } else { Ok(()) }
}

fn few_rows(op: &FlashAttnSpec, artifact: &Artifact) -> Result<(), String> {
    let (rows, most) = (packed_rows(op), artifact.block_m as usize);
    if rows > most {
        return Err(format!("made for up to {most} queries times heads of a key head, these are {rows}"));
    }
    Ok(())
}
