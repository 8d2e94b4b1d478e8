//! What an engine says to dropless: where its tensors lie, which ops it plans, what a step enqueues. The same on every backend.

use dropless::op::moe::{DispatchArgs, DispatchSpec, RouteSpec, Score};
use dropless::op::{Combine, Epilogue, Gather, GroupedGemmArgs, GroupedGemmSpec, LocalExperts, Swiglu, WeightFormat};
use dropless::op::{FlashAttnArgs, FlashAttnSpec, KvIndex, KvStore, Lse, Mask};
use dropless::{AllOps, Backend, DType, Error, Hint, HostTensor, Kernel, View, ViewMut};
use std::collections::HashMap;

/// Sequences of a decode step, one token each, and the keys that each has room for.
pub const TOKENS: usize = 4;
const ROOM: usize = 256;
/// Keys of each sequence before the first step. With these no token's second and third expert are close, so that rounding does not
/// decide between them.
pub const LENGTHS: [i32; TOKENS] = [70, 29, 65, 7];
const HEADS: usize = 8;
const KV_HEADS: usize = 2;
const DIM: usize = 64;
pub const HIDDEN: usize = HEADS * DIM;
const INTER: usize = 256;
const EXPERTS: usize = 8;
const TOP_K: usize = 2;
const ROWS: usize = TOKENS * TOP_K;

/// What an engine's own tensor type knows: where it lies, its type, its shape. On CUDA the handle is a `CUdeviceptr`.
pub struct Place<B: Backend> {
    pub mem: B::Mem,
    pub dtype: DType,
    pub shape: Vec<usize>,
}

impl<B: Backend> Place<B> {
    fn view(&self) -> View<'_, B> {
        self.view_as(&self.shape)
    }

    /// The same elements in another shape.
    fn view_as(&self, shape: &[usize]) -> View<'_, B> {
        // SAFETY: every place lies in memory of this type and size, which `main` frees last.
        unsafe { View::from_raw(self.mem.clone(), self.dtype, shape) }
    }

    fn view_mut(&self) -> ViewMut<'_, B> {
        // SAFETY: as above; calls of one stream run one after the other, and each writes a place through one view.
        unsafe { ViewMut::from_raw(self.mem.clone(), self.dtype, &self.shape) }
    }
}

pub type Places<B> = HashMap<&'static str, Place<B>>;

/// The planned ops of a layer, on any backend. Plans are made once: they choose, load and compile; calls only launch.
pub struct Layer<B: AllOps> {
    pub attention: Kernel<FlashAttnSpec, B>,
    router: Kernel<GroupedGemmSpec, B>,
    pub dispatch: Kernel<DispatchSpec, B>,
    pub up: Kernel<GroupedGemmSpec, B>,
    down: Kernel<GroupedGemmSpec, B>,
}

impl<B: AllOps> Layer<B> {
    pub fn plan(backend: &B) -> Result<Self, Error> {
        let (bf16, f32) = (DType::Bf16, DType::F32);
        // A spec holds upper bounds; how many keys there are, and rows of each expert, is on the device.
        let attention = FlashAttnSpec {
            sequences: TOKENS,
            q_tokens: TOKENS,
            max_q_len: 1,
            max_k_len: ROOM,
            q_heads: HEADS,
            kv_heads: KV_HEADS,
            head_dim: DIM,
            q: bf16,
            kv: bf16,
            kv_scales: false,
            out: bf16,
            sm_scale: (DIM as f64).sqrt().recip().into(),
            mask: Mask::Causal,
            sinks: Some(bf16),
            lse: Lse::None,
            store: KvStore::Packed { tokens: TOKENS * ROOM },
            index: KvIndex::StartLen,
            splits: None,
        };
        let score = Score::SoftmaxAfterTopK;
        let route = RouteSpec { tokens: TOKENS, experts: EXPERTS, top_k: TOP_K, logits: f32, weight: f32, score };
        let experts = |n, k| GroupedGemmSpec {
            experts: EXPERTS,
            local: LocalExperts { first: 0, count: EXPERTS },
            weights: WeightFormat::Mxfp4,
            grouped: true,
            ..GroupedGemmSpec::linear(ROWS, n, k, bf16, bf16, Some(bf16), bf16)
        };
        let gather = Some(Gather { input_rows: TOKENS, divide: TOP_K });
        let combine = Some(Combine { tokens: TOKENS, top_k: TOP_K, weight: f32 });
        let up = GroupedGemmSpec { epilogue: Epilogue::Swiglu(Swiglu::GPT_OSS), gather, ..experts(2 * INTER, HIDDEN) };
        let router = GroupedGemmSpec::linear(TOKENS, EXPERTS, HIDDEN, bf16, bf16, None, f32);
        let hint = Hint::default();
        Ok(Layer {
            attention: Kernel::plan(backend, attention, hint)?,
            router: Kernel::plan(backend, router, hint)?,
            dispatch: Kernel::plan(backend, DispatchSpec { route }, hint)?,
            up: Kernel::plan(backend, up, hint)?,
            down: Kernel::plan(backend, GroupedGemmSpec { combine, ..experts(HIDDEN, INTER) }, hint)?,
        })
    }

    /// One scratch serves all: calls of one queue follow each other.
    pub fn scratch_bytes(&self) -> usize {
        let gemms = [&self.router, &self.up, &self.down].map(|k| k.scratch().bytes);
        let others = [self.attention.scratch().bytes, self.dispatch.scratch().bytes];
        gemms.into_iter().chain(others).max().unwrap_or(0)
    }

    /// Records the launches of one step and nothing else: no allocation, no copy, no wait. So it can be captured.
    pub fn enqueue(&self, backend: &B, at: &Places<B>, queue: &mut B::Queue<'_>) -> Result<(), Error> {
        let (read, write, scratch) = (|name| at[name].view(), |name| at[name].view_mut(), || at["scratch"].view_mut());
        let attention = FlashAttnArgs {
            k_start: Some(read("k_start")),
            k_len: Some(read("k_len")),
            sinks: Some(read("sinks")),
            status: Some(write("status")),
            ..FlashAttnArgs::new(read("q"), read("k"), read("v"), read("cu_seqlens_q"), write("attended"))
        };
        self.attention.enqueue(backend, attention, scratch(), queue)?;
        let tokens = || at["attended"].view_as(&[TOKENS, HIDDEN]);
        let router = GroupedGemmArgs::new(tokens(), read("router"), write("logits"));
        self.router.enqueue(backend, router, scratch(), queue)?;
        let dispatch = DispatchArgs {
            logits: read("logits"),
            topk_idx: write("topk_idx"),
            topk_weight: write("topk_weight"),
            expert_count: write("expert_count"),
            expert_offset: write("expert_offset"),
            sorted_assignment: write("sorted_assignment"),
            assignment_to_row: write("assignment_to_row"),
        };
        self.dispatch.enqueue(backend, dispatch, scratch(), queue)?;
        let up = GroupedGemmArgs {
            w_scales: Some(read("up_scales")),
            bias: Some(read("up_bias")),
            offsets: Some(read("expert_offset")),
            row_index: Some(read("sorted_assignment")),
            status: Some(write("status")),
            ..GroupedGemmArgs::new(tokens(), read("up"), write("activated"))
        };
        self.up.enqueue(backend, up, scratch(), queue)?;
        let down = GroupedGemmArgs {
            w_scales: Some(read("down_scales")),
            bias: Some(read("down_bias")),
            offsets: Some(read("expert_offset")),
            row_of: Some(read("assignment_to_row")),
            combine_weight: Some(read("topk_weight")),
            status: Some(write("status")),
            ..GroupedGemmArgs::new(read("activated"), read("down"), write("out"))
        };
        self.down.enqueue(backend, down, scratch(), queue)
    }
}

/// Every tensor of a step, as it is before the first one.
pub fn tensors(scratch_bytes: usize) -> Result<Vec<(&'static str, HostTensor)>, Error> {
    use DType::{Bf16, E2m1x2, E8m0, F32, I32, U8, U32};
    let (heads, cache) = ([TOKENS, HEADS, DIM], [TOKENS * ROOM, KV_HEADS, DIM]);
    let (up, down) = ([EXPERTS, 2 * INTER, HIDDEN / 32, 16], [EXPERTS, HIDDEN, INTER / 32, 16]);
    let shapes: [(_, _, &[usize]); 23] = [
        ("q", Bf16, &heads),
        ("k", Bf16, &cache),
        ("v", Bf16, &cache),
        ("sinks", Bf16, &[HEADS]),
        ("attended", Bf16, &heads),
        ("router", Bf16, &[1, EXPERTS, HIDDEN]),
        ("logits", F32, &[TOKENS, EXPERTS]),
        ("topk_idx", I32, &[TOKENS, TOP_K]),
        ("topk_weight", F32, &[TOKENS, TOP_K]),
        ("expert_count", I32, &[EXPERTS]),
        ("expert_offset", I32, &[EXPERTS + 1]),
        ("sorted_assignment", I32, &[ROWS]),
        ("assignment_to_row", I32, &[ROWS]),
        ("up", E2m1x2, &up),
        ("up_scales", E8m0, &up[..3]),
        ("up_bias", Bf16, &[EXPERTS, 2 * INTER]),
        ("activated", Bf16, &[ROWS, INTER]),
        ("down", E2m1x2, &down),
        ("down_scales", E8m0, &down[..3]),
        ("down_bias", Bf16, &[EXPERTS, HIDDEN]),
        ("out", Bf16, &[TOKENS, HIDDEN]),
        ("status", U32, &[1]),
        ("scratch", U8, &[scratch_bytes.max(1)]),
    ];
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 32) as u32
    };
    let mut all = Vec::new();
    for (name, dtype, shape) in shapes {
        let n: usize = shape.iter().product();
        let mut random_bytes = |scale: fn(u8) -> u8| (0..n).map(|_| scale(random() as u8)).collect::<Vec<u8>>();
        let tensor = match dtype {
            // Any byte is two codes.
            E2m1x2 => HostTensor::new(dtype, shape, random_bytes(|b| b).into()),
            // 2^-7 to 2^-4: sums stay near 1.
            E8m0 => HostTensor::new(dtype, shape, random_bytes(|b| 120 + b % 4).into()),
            Bf16 => {
                let numbers: Vec<f64> = (0..n).map(|_| f64::from(random()) / 2f64.powi(31) - 1.0).collect();
                HostTensor::from_f64(dtype, shape, &numbers)
            }
            _ => HostTensor::new(dtype, shape, vec![0; n * dtype.bytes()].into()),
        };
        all.push((name, tensor?));
    }
    all.push(("cu_seqlens_q", HostTensor::from_i32(&[TOKENS + 1], &[0, 1, 2, 3, 4])?));
    all.push(("k_start", HostTensor::from_i32(&[TOKENS], &[0, 1, 2, 3].map(|s| s * ROOM as i32))?));
    all.push(("k_len", HostTensor::from_i32(&[TOKENS], &LENGTHS)?));
    Ok(all)
}
