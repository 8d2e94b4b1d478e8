//! Attention with sinks: tensor cores where types and layout allow, f32 for everything else.

mod params;

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::{Backend, DeviceInfo, Hint};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvStore, Op, PageLayout};
use dropless_kernels_cuda::Artifact;
use params::Params;

const DECODE: &str = "sm80_decode";

/// The grid of a decode: a block takes `rows` query rows (with all heads of a key head) and one of `splits` shares of the
/// keys they see.
struct Decode {
    rows: usize,
    tiles: usize,
    splits: usize,
}

impl Decode {
    fn new(op: &FlashAttnSpec, artifact: &Artifact, device: &DeviceInfo) -> Self {
        let all = op.packed_rows();
        let (most, keys) = (artifact.block_m as usize, artifact.block_n.max(1) as usize);
        let rows = if all <= most / 2 { most / 2 } else { most };
        let tiles = all.div_ceil(rows.max(1)).max(1);
        let items = op.sequences.max(1) * op.kv_heads * tiles;
        // Two blocks a multiprocessor fill the device; a warp should still have some keys to read.
        let seen = op.mask.window().map_or(op.max_k_len, |w| op.max_k_len.min(w.saturating_add(op.max_q_len)));
        let most_splits = seen.div_ceil(keys * artifact.warps as usize).max(1);
        let splits = (2 * device.units as usize).div_ceil(items).clamp(1, most_splits);
        Decode { rows, tiles, splits }
    }

    fn blocks(&self, op: &FlashAttnSpec) -> usize {
        (op.sequences * op.kv_heads).saturating_mul(self.tiles)
    }

    fn scratch_bytes(&self, op: &FlashAttnSpec) -> usize {
        if self.splits == 1 { 0 } else { self.blocks(op) * self.splits * self.rows * (op.head_dim + 2) * 4 }
    }
}

impl FlashAttnSpec {
    /// Rows of the longest sequence, a row being a query and one head of those that share a key head.
    fn packed_rows(&self) -> usize {
        self.max_q_len.saturating_mul(self.q_heads / self.kv_heads.max(1))
    }

    /// Position of a kernel among those of all types and head sizes.
    fn type_and_dim(&self) -> usize {
        2 * usize::from(self.q == DType::F16) + usize::from(self.head_dim == 128)
    }

    fn tensor_cores_take_it(&self) -> Result<(), String> {
        if self.q != self.kv || !matches!(self.q, DType::Bf16 | DType::F16) {
            return Err(format!("q and k must be bf16 or f16 alike, they are {} and {}", self.q, self.kv));
        }
        if !matches!(self.head_dim, 64 | 128) {
            return Err(format!("head_dim must be 64 or 128, it is {}", self.head_dim));
        }
        if self.sm_scale.0 <= 0.0 {
            return Err(format!("sm_scale must be positive, it is {}", self.sm_scale.0));
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

impl CudaOp for FlashAttnSpec {
    fn limits(&self) -> Result<(), String> {
        match i32::try_from(self.packed_rows().max(self.q_heads)) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("{} queries of {} heads are more than 2^31 - 1", self.max_q_len, self.q_heads)),
        }
    }

    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        if artifact.variant == DECODE { self.tensor_cores_take_it() } else { Ok(()) }
    }

    fn suits(&self, artifact: &Artifact, _: &DeviceInfo, _: Hint<'_>) -> Result<(), String> {
        let (rows, most) = (self.packed_rows(), artifact.block_m as usize);
        if artifact.variant == DECODE && rows > most {
            return Err(format!("made for up to {most} queries times heads of a key head, these are {rows}"));
        }
        Ok(())
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        if artifact.variant == DECODE { Decode::new(self, artifact, device).scratch_bytes(self) } else { 0 }
    }

    fn launch(
        plan: &Plan<Self>,
        args: FlashAttnArgs<'_, Cuda>,
        scratch: u64,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let (op, params) = (&plan.op, Params::new(&plan.op, &args));
        // Everywhere at least one block: without a query there still are lengths to check.
        if plan.artifact.variant != DECODE {
            return plan.record(0, [op.q_tokens.saturating_mul(op.q_heads).max(1), 1, 1], stream, &params);
        }
        let unsupported = || {
            let reason = "rows of k or v are 4 GiB apart or more; the variant `simt` takes them".into();
            Error::Unsupported { backend: Cuda::NAME, op: Self::NAME, reason }
        };
        let mut params = params.with_eights(op, &args).ok_or_else(unsupported)?;
        let decode = Decode::new(op, plan.artifact, plan.info());
        (params.partial, params.splits, params.tiles) = (scratch, decode.splits as i32, decode.tiles as i32);
        let wide = usize::from(decode.rows == plan.artifact.block_m as usize);
        let blocks = decode.blocks(op);
        plan.record(2 * op.type_and_dim() + wide, [(blocks * decode.splits).max(1), 1, 1], stream, &params)?;
        if decode.splits > 1 {
            let combine = 8 + 2 * usize::from(op.head_dim == 128) + wide;
            plan.record(combine, [blocks, 1, 1], stream, &params)?;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::backend::{Arch, Hint};
    use crate::cuda::choose::choose;
    use crate::op::cases::Cases;

    fn device(sm: u16) -> DeviceInfo {
        DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 100, shared_bytes: 64 << 10 }
    }

    #[test]
    fn every_generation_takes_every_case() {
        for sm in [75, 80, 90, 120] {
            for case in FlashAttnSpec::cases() {
                choose(&case.op, &device(sm), 80, Hint::default()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            }
        }
    }

    #[test]
    fn tensor_cores_decode() {
        let named = |name: &str| FlashAttnSpec::cases().into_iter().find(|c| c.name == name).unwrap().op;
        let variant = |op, sm| choose(&op, &device(sm), 80, Hint::default()).unwrap().variant();
        assert_eq!(variant(named("decode"), 80), DECODE);
        assert_eq!(variant(named("decode"), 75), "simt");
        assert_eq!(variant(FlashAttnSpec { q: DType::F32, ..named("decode") }, 90), "simt");
        assert_eq!(variant(FlashAttnSpec { sm_scale: (-1.0).into(), ..named("decode") }, 90), "simt");
    }
}
