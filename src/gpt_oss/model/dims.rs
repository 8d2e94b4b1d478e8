//! A model's dimensions under given options, and the specs of its kernels.

use super::Options;
use super::cache::{PAGE_SIZE, Paging};
use crate::dtype::{DType, Scalar};
use crate::error::Error;
use crate::gpt_oss::config::Config;
use crate::gpt_oss::moe_block::MoeSpec;
use crate::mutation::{Rule, wrong};
use crate::op::flash_attn::{KvIndex, Lse, Mask, Window};
use crate::op::{FlashAttnSpec, KvAppendSpec, KvStore, WeightFormat};

/// Longest context a model is run with, whatever its config allows: the rope table is made for all of it.
const MAX_CONTEXT: usize = 1 << 20;

/// What one call of the layers is planned for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rows {
    /// New tokens of all sequences together.
    pub tokens: usize,
    pub sequences: usize,
    /// New tokens of the sequence that has most of them.
    pub longest: usize,
}

/// What plans and buffers depend on.
pub(super) struct Dims {
    pub config: Config,
    pub activations: DType,
    /// Type of keys and values kept, and whether they are divided by scales of the checkpoint.
    pub cache: DType,
    pub kv_scales: bool,
    pub max_context: usize,
    pub max_chunk: usize,
    pub max_sequences: usize,
    pub weights: WeightFormat,
    /// Each window that some layer has (0: all keys), and how its layers keep their keys.
    pub pagings: Vec<(usize, Paging)>,
    /// Index into `pagings` of each layer.
    pub layer_paging: Vec<usize>,
}

impl Dims {
    pub(super) fn new(config: Config, options: &Options, weights: WeightFormat) -> Result<Self, Error> {
        let max_context = options.max_context.min(config.max_context);
        let max_chunk = options.max_chunk.min(max_context);
        let max_sequences = options.max_sequences;
        let counts = [("max_context", max_context), ("max_chunk", max_chunk), ("max_sequences", max_sequences)];
        for (name, value) in counts {
            if value == 0 {
                return Err(Error::input(name, "must be at least 1, got 0"));
            }
        }
        if max_context > MAX_CONTEXT {
            return Err(Error::input(
                "max_context",
                format!("must be at most {MAX_CONTEXT} tokens, got {max_context}"),
            ));
        }
        if !options.activations.is_float() {
            let problem = format!("must be f32, bf16, f16 or (cpu oracle) f64, got {}", options.activations);
            return Err(Error::input("activations", problem));
        }
        let cache = options.kv.unwrap_or(options.activations);
        if !cache.is_float() && cache != DType::F8E4m3 {
            let problem = format!("must be f32, bf16, f16, f8e4m3 or (cpu oracle) f64, got {cache}");
            return Err(Error::input("kv", problem));
        }
        let mut windows = config.layer_windows.clone();
        if wrong(Rule::LayerParity) {
            windows.rotate_left(1);
        }
        let mut pagings: Vec<(usize, Paging)> = Vec::new();
        let mut layer_paging = Vec::with_capacity(windows.len());
        for window in windows {
            let known = pagings.iter().position(|(w, _)| *w == window);
            layer_paging.push(known.unwrap_or(pagings.len()));
            if known.is_none() {
                pagings.push((window, Paging::new(window, max_context, max_chunk, max_sequences)));
            }
        }
        Ok(Dims {
            config,
            activations: options.activations,
            cache,
            kv_scales: false,
            max_context,
            max_chunk,
            max_sequences,
            weights,
            pagings,
            layer_paging,
        })
    }

    /// Most rows of one call of the layers: a chunk, or a token of each sequence.
    pub(super) fn max_rows(&self) -> usize {
        self.max_chunk.max(self.max_sequences)
    }

    /// Elements of a token's queries, and of its keys or values.
    pub(super) fn heads(&self) -> (usize, usize) {
        (self.config.q_heads * self.config.head_dim, self.config.kv_heads * self.config.head_dim)
    }

    /// Type of what bf16 would be too narrow for: the residual stream, logits, rope tables, router weights,
    /// queries and keys in front of the rotation (behind it they are rounded, once). In bf16 every
    /// layer would round the whole stream, and near-ties between experts would fall the other way.
    pub(super) fn wide(&self) -> DType {
        if self.activations == DType::F64 { DType::F64 } else { DType::F32 }
    }

    pub(super) fn moe(&self, tokens: usize) -> MoeSpec {
        MoeSpec {
            tokens,
            hidden: self.config.hidden,
            intermediate: self.config.intermediate,
            experts: self.config.experts,
            top_k: self.config.top_k,
            x: self.activations,
            out: self.wide(),
            weights: self.weights,
            dense: DType::Bf16,
            score: self.config.score,
            swiglu: self.config.swiglu,
        }
    }

    pub(super) fn kv_append(&self, tokens: usize, store: KvStore) -> KvAppendSpec {
        KvAppendSpec {
            tokens,
            kv_heads: self.config.kv_heads,
            q_heads: self.config.q_heads,
            head_dim: self.config.head_dim,
            x: self.wide(),
            q_out: self.activations,
            cache: self.cache,
            scales: self.kv_scales,
            store,
            positions: self.max_context,
            table: self.wide(),
            pairing: self.config.pairing,
        }
    }

    pub(super) fn flash_attn(&self, rows: Rows, window: usize, paging: &Paging) -> FlashAttnSpec {
        FlashAttnSpec {
            sequences: rows.sequences,
            q_tokens: rows.tokens,
            max_q_len: rows.longest,
            max_k_len: paging.logical * PAGE_SIZE,
            q_heads: self.config.q_heads,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            q: self.activations,
            kv: self.cache,
            kv_scales: self.kv_scales,
            out: self.activations,
            sm_scale: Scalar(self.config.sm_scale),
            mask: if window > 0 { Mask::Sliding(Window::VisibleKeys(window)) } else { Mask::Causal },
            sinks: Some(DType::Bf16),
            lse: Lse::None,
            store: paging.store(),
            index: KvIndex::BlockTable { max_pages: paging.logical },
            splits: None,
        }
    }
}
