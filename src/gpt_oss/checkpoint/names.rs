//! What a checkpoint's tensors are called in each layout, and what they must look like.

use super::Layout;
use crate::dtype::DType;
use crate::gpt_oss::config::Config;
use crate::mxfp4::{BLOCK, Tiled};

/// A tensor of a checkpoint file, by its part in the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Embedding,
    Head,
    FinalNorm,
    /// A tensor of layer n.
    Layer(usize, LayerPart),
}

/// A tensor of one layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LayerPart {
    AttnNorm,
    MlpNorm,
    /// Rows \[q; k; v\] in one tensor (original).
    QkvWeight,
    QkvBias,
    QWeight,
    QBias,
    KWeight,
    KBias,
    VWeight,
    VBias,
    OutWeight,
    OutBias,
    Sinks,
    RouterWeight,
    RouterBias,
    UpBlocks,
    UpScales,
    UpTiles,
    UpBias,
    DownBlocks,
    DownScales,
    DownTiles,
    DownBias,
}

use LayerPart as L;

/// Parts of every layer in every layout.
const COMMON: [LayerPart; 9] = [
    L::AttnNorm,
    L::OutWeight,
    L::OutBias,
    L::Sinks,
    L::MlpNorm,
    L::RouterWeight,
    L::RouterBias,
    L::UpBias,
    L::DownBias,
];
const SEPARATE: [LayerPart; 6] = [L::QWeight, L::QBias, L::KWeight, L::KBias, L::VWeight, L::VBias];
const FUSED: [LayerPart; 2] = [L::QkvWeight, L::QkvBias];
const BLOCKS: [LayerPart; 4] = [L::UpBlocks, L::UpScales, L::DownBlocks, L::DownScales];
const TILES: [LayerPart; 2] = [L::UpTiles, L::DownTiles];

impl Part {
    /// All tensors of a checkpoint, in the order they are written.
    pub(crate) fn all(config: &Config, layout: Layout) -> Vec<Part> {
        let (qkv, experts): (&[L], &[L]) = match layout {
            Layout::Hf => (&SEPARATE, &BLOCKS),
            Layout::Original => (&FUSED, &BLOCKS),
            Layout::Prepacked => (&SEPARATE, &TILES),
        };
        let mut parts = vec![Part::Embedding];
        for n in 0..config.layers {
            parts.extend(COMMON.iter().chain(qkv).chain(experts).map(|part| Part::Layer(n, *part)));
        }
        parts.push(Part::FinalNorm);
        if !config.tied_head {
            parts.push(Part::Head);
        }
        parts
    }

    /// Its name in a layout; prepacked keeps HF's.
    pub(crate) fn name(self, layout: Layout) -> String {
        let original = layout == Layout::Original;
        let pick = |hf: &str, openai: &str| if original { openai.to_string() } else { hf.to_string() };
        match self {
            Part::Embedding => pick("model.embed_tokens.weight", "embedding.weight"),
            Part::Head => pick("lm_head.weight", "unembedding.weight"),
            Part::FinalNorm => pick("model.norm.weight", "norm.scale"),
            Part::Layer(n, part) if original => format!("block.{n}.{}", part.original_name()),
            Part::Layer(n, part) => format!("model.layers.{n}.{}", part.hf_name()),
        }
    }

    /// Its element type and dimensions.
    pub(crate) fn shape(self, config: &Config) -> (DType, Vec<usize>) {
        let c = config;
        let (q, kv) = (c.q_heads * c.head_dim, c.kv_heads * c.head_dim);
        let (e, h, i) = (c.experts, c.hidden, c.intermediate);
        let Part::Layer(_, part) = self else {
            let dims = if self == Part::FinalNorm { vec![h] } else { vec![c.vocab, h] };
            return (DType::Bf16, dims);
        };
        match part {
            L::UpBlocks => (DType::U8, vec![e, 2 * i, h / BLOCK, 16]),
            L::UpScales => (DType::U8, vec![e, 2 * i, h / BLOCK]),
            L::UpTiles => (DType::U8, vec![e, Tiled::bytes(2 * i, h)]),
            L::DownBlocks => (DType::U8, vec![e, h, i / BLOCK, 16]),
            L::DownScales => (DType::U8, vec![e, h, i / BLOCK]),
            L::DownTiles => (DType::U8, vec![e, Tiled::bytes(h, i)]),
            other => {
                let dims = match other {
                    L::AttnNorm | L::MlpNorm | L::OutBias => vec![h],
                    L::QkvWeight => vec![q + 2 * kv, h],
                    L::QkvBias => vec![q + 2 * kv],
                    L::QWeight => vec![q, h],
                    L::QBias => vec![q],
                    L::KWeight | L::VWeight => vec![kv, h],
                    L::KBias | L::VBias => vec![kv],
                    L::OutWeight => vec![h, q],
                    L::Sinks => vec![c.q_heads],
                    L::RouterWeight => vec![e, h],
                    L::RouterBias => vec![e],
                    L::UpBias => vec![e, 2 * i],
                    _ => vec![e, h],
                };
                (DType::Bf16, dims)
            }
        }
    }
}

impl LayerPart {
    fn hf_name(self) -> &'static str {
        match self {
            L::AttnNorm => "input_layernorm.weight",
            L::MlpNorm => "post_attention_layernorm.weight",
            L::QkvWeight => "self_attn.qkv_proj.weight",
            L::QkvBias => "self_attn.qkv_proj.bias",
            L::QWeight => "self_attn.q_proj.weight",
            L::QBias => "self_attn.q_proj.bias",
            L::KWeight => "self_attn.k_proj.weight",
            L::KBias => "self_attn.k_proj.bias",
            L::VWeight => "self_attn.v_proj.weight",
            L::VBias => "self_attn.v_proj.bias",
            L::OutWeight => "self_attn.o_proj.weight",
            L::OutBias => "self_attn.o_proj.bias",
            L::Sinks => "self_attn.sinks",
            L::RouterWeight => "mlp.router.weight",
            L::RouterBias => "mlp.router.bias",
            L::UpBlocks => "mlp.experts.gate_up_proj_blocks",
            L::UpScales => "mlp.experts.gate_up_proj_scales",
            L::UpTiles => "mlp.experts.gate_up_proj_tiled",
            L::UpBias => "mlp.experts.gate_up_proj_bias",
            L::DownBlocks => "mlp.experts.down_proj_blocks",
            L::DownScales => "mlp.experts.down_proj_scales",
            L::DownTiles => "mlp.experts.down_proj_tiled",
            L::DownBias => "mlp.experts.down_proj_bias",
        }
    }

    fn original_name(self) -> &'static str {
        match self {
            L::AttnNorm => "attn.norm.scale",
            L::MlpNorm => "mlp.norm.scale",
            L::QkvWeight => "attn.qkv.weight",
            L::QkvBias => "attn.qkv.bias",
            L::OutWeight => "attn.out.weight",
            L::OutBias => "attn.out.bias",
            L::Sinks => "attn.sinks",
            L::RouterWeight => "mlp.gate.weight",
            L::RouterBias => "mlp.gate.bias",
            L::UpBlocks => "mlp.mlp1_weight.blocks",
            L::UpScales => "mlp.mlp1_weight.scales",
            L::UpBias => "mlp.mlp1_bias",
            L::DownBlocks => "mlp.mlp2_weight.blocks",
            L::DownScales => "mlp.mlp2_weight.scales",
            L::DownBias => "mlp.mlp2_bias",
            // Not parts of the original layout: named as in HF, so that an error can name them.
            other => other.hf_name(),
        }
    }
}
