//! Specs from `--shape name=value,...`: the names are those of the specs' fields, what is left out is as in gpt-oss.

use super::values::Values;
use anyhow::bail;
use dropless::op::grouped_gemm::LocalExperts;
use dropless::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, Score, SortSpec};
use dropless::op::{
    AnySpec, ArgmaxSpec, Combine, EmbeddingSpec, Epilogue, FlashAttnSpec, Gather, GroupedGemmSpec, KvAppendSpec,
    KvIndex, KvStore, Lse, Mask, Mxfp4PrepackSpec, Op, Pairing, RmsNormSpec, RopeSpec, Swiglu, SwigluSpec,
    WeightFormat, Window,
};
use dropless::{DType, Scalar};

/// NAMEs of the ops that have a shape.
pub const OPS: [&str; 14] = [
    GroupedGemmSpec::NAME,
    FlashAttnSpec::NAME,
    DispatchSpec::NAME,
    RouteSpec::NAME,
    SortSpec::NAME,
    PermuteSpec::NAME,
    CombineSpec::NAME,
    KvAppendSpec::NAME,
    RopeSpec::NAME,
    RmsNormSpec::NAME,
    SwigluSpec::NAME,
    EmbeddingSpec::NAME,
    ArgmaxSpec::NAME,
    Mxfp4PrepackSpec::NAME,
];

/// Positions of gpt-oss's tables.
const POSITIONS: usize = 131_072;

/// The spec of `op` with these values.
pub fn spec(op: &str, shape: &[String]) -> anyhow::Result<AnySpec> {
    let mut values = Values::new(shape)?;
    let v = &mut values;
    let spec = match op {
        GroupedGemmSpec::NAME => AnySpec::GroupedGemm(grouped_gemm(v)),
        FlashAttnSpec::NAME => AnySpec::FlashAttn(flash_attn(v)),
        DispatchSpec::NAME => AnySpec::Dispatch(DispatchSpec { route: route(v) }),
        RouteSpec::NAME => AnySpec::Route(route(v)),
        SortSpec::NAME => {
            let [tokens, experts, top_k] = ["tokens", "experts", "top_k"].map(|n| v.need(n));
            AnySpec::Sort(SortSpec { tokens, experts, top_k })
        }
        PermuteSpec::NAME => {
            let [tokens, top_k, dim] = ["tokens", "top_k", "dim"].map(|n| v.need(n));
            AnySpec::Permute(PermuteSpec { tokens, top_k, dim, x: v.float("x", DType::Bf16) })
        }
        CombineSpec::NAME => {
            let [tokens, top_k, dim] = ["tokens", "top_k", "dim"].map(|n| v.need(n));
            let rows = v.count("rows", tokens.saturating_mul(top_k));
            let (y, out) = (v.float("y", DType::Bf16), v.float("out", DType::Bf16));
            AnySpec::Combine(CombineSpec { tokens, rows, top_k, dim, y, weight: DType::F32, out })
        }
        KvAppendSpec::NAME => AnySpec::KvAppend(kv_append(v)),
        RopeSpec::NAME => AnySpec::Rope(RopeSpec {
            tokens: v.need("tokens"),
            heads: v.count("heads", 64),
            head_dim: v.count("head_dim", 64),
            positions: v.count("positions", POSITIONS),
            x: v.float("x", DType::Bf16),
            out: v.float("out", DType::Bf16),
            table: DType::F32,
            pairing: v.one_of("pairing", &PAIRINGS, Pairing::HalfSplit),
        }),
        RmsNormSpec::NAME => AnySpec::RmsNorm(RmsNormSpec {
            rows: v.need("rows"),
            dim: v.count("dim", 2880),
            eps: Scalar(1e-5),
            x: v.float("x", DType::F32),
            weight: v.float("weight", DType::Bf16),
            out: v.float("out", DType::Bf16),
            residual: v.one_of("residual", &[("false", false), ("true", true)], false),
        }),
        SwigluSpec::NAME => AnySpec::Swiglu(SwigluSpec {
            rows: v.need("rows"),
            width: v.count("width", 5760),
            x: v.float("x", DType::Bf16),
            out: v.float("out", DType::Bf16),
            swiglu: v.one_of("swiglu", &[("gpt_oss", Swiglu::GPT_OSS), ("silu", Swiglu::SILU)], Swiglu::GPT_OSS),
        }),
        EmbeddingSpec::NAME => AnySpec::Embedding(EmbeddingSpec {
            tokens: v.need("tokens"),
            vocab: v.count("vocab", 201_088),
            dim: v.count("dim", 2880),
            table: v.float("table", DType::Bf16),
            out: v.float("out", DType::F32),
        }),
        ArgmaxSpec::NAME => AnySpec::Argmax(ArgmaxSpec {
            rows: v.need("rows"),
            columns: v.count("columns", 201_088),
            x: v.float("x", DType::F32),
        }),
        Mxfp4PrepackSpec::NAME => {
            let (experts, n, k) = (v.count("experts", 32), v.count("n", 5760), v.count("k", 2880));
            AnySpec::Mxfp4Prepack(Mxfp4PrepackSpec { experts, n, k })
        }
        _ => bail!("there is no op {op:?} with a shape; there are {}", OPS.join(", ")),
    };
    values.finish(op)?;
    Ok(spec)
}

const PAIRINGS: [(&str, Pairing); 2] = [("half_split", Pairing::HalfSplit), ("interleaved", Pairing::Interleaved)];

fn grouped_gemm(v: &mut Values) -> GroupedGemmSpec {
    let (rows, n, k, experts) = (v.need("rows"), v.need("n"), v.need("k"), v.count("experts", 1));
    let weights = [
        ("mxfp4", WeightFormat::Mxfp4),
        ("tiled", WeightFormat::Mxfp4Tiled),
        ("gguf", WeightFormat::Mxfp4Gguf),
        ("bf16", WeightFormat::Dense(DType::Bf16)),
        ("f16", WeightFormat::Dense(DType::F16)),
        ("f32", WeightFormat::Dense(DType::F32)),
    ];
    let epilogues = [
        ("none", Epilogue::None),
        ("swiglu", Epilogue::Swiglu(Swiglu::GPT_OSS)),
        ("silu", Epilogue::Swiglu(Swiglu::SILU)),
    ];
    let (input_rows, divide) = (v.count("input_rows", 0), v.count("divide", 1));
    let (tokens, top_k) = (v.count("tokens", 0), v.count("top_k", 1));
    GroupedGemmSpec {
        experts,
        local: LocalExperts { first: v.count("local_first", 0), count: v.count("local_count", experts) },
        rows,
        n,
        k,
        a: v.float("a", DType::Bf16),
        weights: v.one_of("weights", &weights, WeightFormat::Mxfp4),
        bias: v.optional_float("bias", None),
        d: v.float("d", DType::Bf16),
        epilogue: v.one_of("epilogue", &epilogues, Epilogue::None),
        grouped: experts > 1,
        gather: (input_rows > 0).then_some(Gather { input_rows, divide }),
        combine: (tokens > 0).then_some(Combine { tokens, top_k, weight: DType::F32 }),
    }
}

fn flash_attn(v: &mut Values) -> FlashAttnSpec {
    let (sequences, max_q_len, max_k_len) = (v.count("sequences", 1), v.need("max_q_len"), v.need("max_k_len"));
    let (head_dim, window, page_size) = (v.count("head_dim", 64), v.count("window", 0), v.count("page_size", 0));
    let mask = v.one_of("mask", &[("causal", Mask::Causal), ("bidirectional", Mask::Bidirectional)], Mask::Causal);
    let lse = [("none", Lse::None), ("with_sink", Lse::WithSink), ("without_sink", Lse::WithoutSink)];
    let max_pages = max_k_len.div_ceil(page_size.max(1));
    let paged = v.pages(sequences.saturating_mul(max_pages), page_size);
    FlashAttnSpec {
        sequences,
        q_tokens: v.count("q_tokens", sequences.saturating_mul(max_q_len)),
        max_q_len,
        max_k_len,
        q_heads: v.count("q_heads", 64),
        kv_heads: v.count("kv_heads", 8),
        head_dim,
        q: v.float("q", DType::Bf16),
        kv: v.cache("kv"),
        kv_scales: v.count("kv_scales", 0) > 0,
        out: v.float("out", DType::Bf16),
        sm_scale: (head_dim as f64).sqrt().recip().into(),
        mask: if window > 0 { Mask::Sliding(Window::VisibleKeys(window)) } else { mask },
        sinks: v.optional_float("sinks", Some(DType::Bf16)),
        lse: v.one_of("lse", &lse, Lse::None),
        store: paged.unwrap_or(KvStore::Packed { tokens: sequences.saturating_mul(max_k_len) }),
        index: if paged.is_some() { KvIndex::BlockTable { max_pages } } else { KvIndex::StartLen },
        splits: Some(v.count("splits", 0)).filter(|n| *n > 0),
    }
}

fn route(v: &mut Values) -> RouteSpec {
    let scores = [
        ("softmax_after_top_k", Score::SoftmaxAfterTopK),
        ("softmax_before_top_k", Score::SoftmaxBeforeTopK { renormalize: false }),
        ("renormalized", Score::SoftmaxBeforeTopK { renormalize: true }),
    ];
    RouteSpec {
        tokens: v.need("tokens"),
        experts: v.need("experts"),
        top_k: v.need("top_k"),
        logits: v.float("logits", DType::F32),
        weight: DType::F32,
        score: v.one_of("score", &scores, Score::SoftmaxAfterTopK),
    }
}

fn kv_append(v: &mut Values) -> KvAppendSpec {
    let (tokens, page_size) = (v.need("tokens"), v.count("page_size", 0));
    let slots = v.count("slots", tokens);
    let paged = v.pages(slots.div_ceil(page_size.max(1)), page_size);
    KvAppendSpec {
        tokens,
        kv_heads: v.count("kv_heads", 8),
        q_heads: v.count("q_heads", 64),
        head_dim: v.count("head_dim", 64),
        x: v.float("x", DType::Bf16),
        q_out: v.float("q_out", DType::Bf16),
        cache: v.cache("cache"),
        scales: v.count("scales", 0) > 0,
        store: paged.unwrap_or(KvStore::Packed { tokens: slots }),
        positions: v.count("positions", POSITIONS),
        table: DType::F32,
        pairing: v.one_of("pairing", &PAIRINGS, Pairing::HalfSplit),
    }
}
