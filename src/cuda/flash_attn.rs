//! Attention with sinks: tensor cores where types and layout allow, f32 for everything else.

mod decode_sm90;
mod grid;
mod prefill_sm90;

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
use grid::{Decode, decode_blocks, packed_rows, prefill_shared_bytes, prefill_tiles};
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
        let wide = usize::from(grid.rows == plan.artifact.block_m as usize);
        plan.record(2 * self.type_and_dim() + wide, [(blocks * grid.splits).max(1), 1, 1], stream, &params)?;
        if grid.splits == 1 {
            return Ok(());
        }
        // The kernels that combine lie behind those of all types.
        plan.record(8 + 2 * usize::from(self.head_dim == 128) + wide, [blocks, 1, 1], stream, &params)
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
                plan.record(usize::from(op.head_dim == 128), [tiles * op.kv_heads, 1, 1], stream, &params)
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

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::backend::Arch;
    use crate::cuda::choose::choose;
    use crate::op::cases::Cases;
    use crate::op::flash_attn::Window;
    use crate::op::{KvIndex, Mask};

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
    fn tensor_cores_take_what_they_can() {
        let named = |name: &str| FlashAttnSpec::cases().into_iter().find(|c| c.name == name).unwrap().op;
        let variant = |op, sm| choose(&op, &device(sm), 80, Hint::default()).unwrap().variant();
        let device = |sm| DeviceInfo { shared_bytes: 232_448, ..device(sm) };
        let hopper = |op| choose(&op, &device(90), 80, Hint::default()).unwrap().variant();
        assert_eq!(hopper(named("causal_sinks")), "sm90_prefill_64");
        assert_eq!(hopper(named("dim_128")), "sm90_prefill_128");
        assert_eq!(hopper(named("nhd_8_table")), "sm90_prefill_64");
        assert_eq!(hopper(named("f8e4m3_queries")), "sm80_prefill_e4m3");
        assert_eq!(hopper(named("f8e4m3_decode")), "sm90_e4m3_8");
        assert_eq!(variant(named("decode"), 80), "sm80_decode");
        assert_eq!(variant(named("causal_sinks"), 80), "sm80_prefill");
        assert_eq!(variant(named("decode"), 75), "sm75");
        assert_eq!(variant(named("xsplit_8_table"), 90), "sm75");
        assert_eq!(variant(FlashAttnSpec { q: DType::F32, ..named("decode") }, 90), "simt");
        assert_eq!(variant(FlashAttnSpec { sm_scale: (-1.0).into(), ..named("decode") }, 90), "simt");
    }

    #[test]
    fn hopper_variants_say_what_they_do_not_take() {
        let named = |name: &str| FlashAttnSpec::cases().into_iter().find(|c| c.name == name).unwrap().op;
        let refused = |op, sm, variant| {
            let device = DeviceInfo { units: 132, shared_bytes: 232_448, ..device(sm) };
            let hint = Hint { variant: Some(variant), ..Hint::default() };
            choose(&op, &device, 80, hint).map(|c| c.variant()).map_err(|e| e.to_string())
        };
        for variant in ["sm90_one_4", "sm90_one_16", "sm90_decode_4", "sm90_decode_8", "sm90_prefill_64"] {
            assert_eq!(refused(named("decode"), 90, variant), Ok(variant));
            assert!(refused(named("decode"), 100, variant).unwrap_err().contains("sm_90a alone"));
        }
        let wide = named("dim_128");
        assert_eq!(refused(wide, 90, "sm90_prefill_128"), Ok("sm90_prefill_128"));
        assert_eq!(refused(wide, 90, "sm90_decode_8"), Ok("sm90_decode_8"));
        let decode_128 = FlashAttnSpec { head_dim: 128, ..named("decode") };
        assert!(refused(decode_128, 90, "sm90_one_16").unwrap_err().contains("no kernel for 8 rows of 128 elements"));
        assert!(refused(wide, 90, "sm90_prefill_64").unwrap_err().contains("head_dim of 64, it is 128"));
        assert!(refused(wide, 90, "sm90_one_8").unwrap_err().contains("one query of up to 8 heads"));
        let narrow = named("f8e4m3_decode");
        assert_eq!(refused(narrow, 90, "sm90_e4m3_8"), Ok("sm90_e4m3_8"));
        assert!(refused(narrow, 90, "simt").unwrap_err().contains("they are f8e4m3"));
        assert!(refused(narrow, 90, "sm90_one_8").unwrap_err().contains("they are bf16 and f8e4m3"));
        assert!(refused(named("decode"), 90, "sm90_e4m3_8").unwrap_err().contains("made for k of f8e4m3"));
        for case in ["f8e4m3_queries", "scales"] {
            assert_eq!(refused(named(case), 90, "simt_scaled"), Ok("simt_scaled"));
        }
        assert_eq!(refused(named("f8e4m3_queries"), 80, "sm80_prefill_e4m3"), Ok("sm80_prefill_e4m3"));
        assert!(refused(named("scales"), 80, "sm80_prefill_e4m3").unwrap_err().contains("made for k of f8e4m3"));
        assert!(refused(named("decode"), 90, "simt_scaled").unwrap_err().contains("made for caches of f8e4m3"));
        assert!(refused(named("scales"), 90, "sm90_prefill_64").unwrap_err().contains("with scales are not taken"));
        assert!(refused(named("nhd_8_table"), 90, "sm90_decode_4").unwrap_err().contains("16 or more, it is 8"));
    }

    #[test]
    fn hopper_takes_short_windows_apart() {
        let named = |name: &str| FlashAttnSpec::cases().into_iter().find(|c| c.name == name).unwrap().op;
        let device = DeviceInfo { shared_bytes: 232_448, ..device(90) };
        let windowed = |window, q_heads, kv_heads| {
            let mask = Mask::Sliding(Window::VisibleKeys(window));
            FlashAttnSpec { mask, q_heads, kv_heads, max_q_len: 40, ..named("causal_sinks") }
        };
        let chosen = |op| choose(&op, &device, 80, Hint::default()).unwrap().variant();
        assert_eq!(chosen(windowed(128, 64, 8)), "sm90_window_64");
        assert_eq!(chosen(windowed(130, 64, 8)), "sm90_window_64");
        assert_eq!(chosen(windowed(131, 64, 8)), "sm90_prefill_64");
        // 64 rows are 64 queries of one head, or parts of 12 queries of six.
        assert_eq!(chosen(windowed(128, 8, 8)), "sm90_prefill_64");
        assert_eq!(chosen(windowed(127, 12, 2)), "sm90_prefill_64");
        assert_eq!(chosen(windowed(122, 12, 2)), "sm90_window_64");
        assert_eq!(chosen(FlashAttnSpec { out: DType::F32, ..windowed(128, 64, 8) }), "sm80_prefill");
        let hint = Hint { variant: Some("sm90_window_64"), ..Hint::default() };
        let refused = choose(&named("causal_sinks"), &device, 80, hint).unwrap_err().to_string();
        assert!(refused.contains("this mask has none"), "{refused}");
    }

    #[test]
    fn hopper_decodes_by_how_many_blocks_there_are() {
        let decode = FlashAttnSpec::cases().into_iter().find(|c| c.name == "decode").unwrap().op;
        let chosen_of = |sequences: usize, keys: usize, splits: Option<usize>| {
            let pages = sequences * keys / 16;
            let index = KvIndex::BlockTable { max_pages: keys / 16 };
            let store = KvStore::Paged { pages, page_size: 16, layout: PageLayout::Nhd };
            let (q_heads, kv_heads) = (64, 8);
            let op = FlashAttnSpec {
                sequences,
                q_tokens: sequences,
                max_k_len: keys,
                q_heads,
                kv_heads,
                store,
                index,
                splits,
                ..decode
            };
            let device = DeviceInfo { units: 132, shared_bytes: 232_448, ..device(90) };
            let choice = choose(&op, &device, 80, Hint::default()).unwrap();
            (choice.variant(), op.cluster(choice.artifact, &device))
        };
        let chosen = |sequences, keys| chosen_of(sequences, keys, None);
        assert_eq!(chosen(1, 1024), ("sm90_one_8", 8));
        assert_eq!(chosen(1, 8192), ("sm90_one_8", 16));
        assert_eq!(chosen(1, 32768), ("sm90_one_16", 8));
        assert_eq!(chosen(8, 8192), ("sm90_one_16", 2));
        assert_eq!(chosen(32, 8192), ("sm90_one_8", 1));
        assert_eq!(chosen(64, 8192), ("sm90_decode_4", 1));
        for (sequences, keys) in [(1, 1024), (1, 32768), (8, 8192), (64, 8192)] {
            assert_eq!(chosen_of(sequences, keys, Some(5)), ("sm90_one_8", 5));
        }
        assert_eq!(chosen_of(1, 1024, Some(100)), ("sm90_one_8", 16));
    }
}
