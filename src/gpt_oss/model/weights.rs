//! A checkpoint's tensors as constants of a backend, in the shapes the ops ask for.

use super::super::checkpoint::names::{LayerPart, Part};
use super::super::checkpoint::{Checkpoint, Layout};
use super::super::moe_block::MoeWeights;
use super::super::{Progress, config::Config};
use crate::backend::{Constant, Runtime};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::{HostBytes, HostTensor};
use crate::op::WeightFormat;
use crate::tensor::View;

/// Weight \[1, N, K\] and bias \[1, N\] of a linear layer.
pub(super) struct Linear<B: Runtime> {
    weight: Constant<B>,
    bias: Constant<B>,
}

impl<B: Runtime> Linear<B> {
    pub(super) fn weight(&self) -> View<'_, B> {
        self.weight.view()
    }

    pub(super) fn bias(&self) -> View<'_, B> {
        self.bias.view()
    }
}

/// Weights of one layer.
pub(super) struct LayerWeights<B: Runtime> {
    pub attn_norm: Constant<B>,
    pub mlp_norm: Constant<B>,
    /// Rows \[q; k; v\].
    pub qkv: Linear<B>,
    pub out: Linear<B>,
    pub sinks: Constant<B>,
    router: Linear<B>,
    up: Experts<B>,
    down: Experts<B>,
}

/// Weights of one of an expert's two matrices.
struct Experts<B: Runtime> {
    weight: Constant<B>,
    scales: Option<Constant<B>>,
    bias: Constant<B>,
}

impl<B: Runtime> LayerWeights<B> {
    pub(super) fn moe(&self) -> MoeWeights<'_, B> {
        MoeWeights {
            router: self.router.weight(),
            router_bias: self.router.bias(),
            up: self.up.weight.view(),
            up_scales: self.up.scales.as_ref().map(Constant::view),
            up_bias: self.up.bias.view(),
            down: self.down.weight.view(),
            down_scales: self.down.scales.as_ref().map(Constant::view),
            down_bias: self.down.bias.view(),
        }
    }
}

/// All weights.
pub(super) struct Weights<B: Runtime> {
    pub embedding: Constant<B>,
    /// \[1, vocab, H\].
    pub head: Constant<B>,
    pub final_norm: Constant<B>,
    pub layers: Vec<LayerWeights<B>>,
}

/// What the experts of a layout are to the grouped GEMM.
pub(super) fn expert_format(layout: Layout) -> WeightFormat {
    match layout {
        Layout::Hf | Layout::Original => WeightFormat::Mxfp4,
        Layout::Prepacked => WeightFormat::Mxfp4Tiled,
    }
}

impl<B: Runtime> Weights<B> {
    pub(super) fn load(
        backend: &B,
        checkpoint: &Checkpoint,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        let Config { layers: count, vocab, hidden, .. } = *checkpoint.config();
        let loader = Loader { backend, checkpoint };
        let mut layers = Vec::with_capacity(count);
        for n in 0..count {
            progress(Progress { done: n as u64, total: count as u64 });
            layers.push(loader.layer(n)?);
        }
        progress(Progress { done: count as u64, total: count as u64 });
        Ok(Weights {
            embedding: loader.constant(Part::Embedding, None)?,
            head: loader.constant(Part::Head, Some((DType::Bf16, &[1, vocab, hidden])))?,
            final_norm: loader.constant(Part::FinalNorm, None)?,
            layers,
        })
    }
}

struct Loader<'a, B: Runtime> {
    backend: &'a B,
    checkpoint: &'a Checkpoint,
}

impl<B: Runtime> Loader<'_, B> {
    /// A tensor as it is stored, or its bytes under another type and shape of the same size.
    fn constant(&self, part: Part, as_is: Option<(DType, &[usize])>) -> Result<Constant<B>, Error> {
        let tensor = self.checkpoint.part(part)?;
        let (dtype, shape) = as_is.unwrap_or((tensor.dtype, &tensor.shape));
        Constant::import(self.backend, dtype, shape, &tensor.bytes)
    }

    fn linear(&self, n: usize, weight: LayerPart, bias: LayerPart) -> Result<Linear<B>, Error> {
        Ok(Linear { weight: self.rows(n, &[weight])?, bias: self.rows(n, &[bias])? })
    }

    /// Rows of one or several tensors as one expert's.
    fn rows(&self, n: usize, parts: &[LayerPart]) -> Result<Constant<B>, Error> {
        let tensor = |part: &LayerPart| self.checkpoint.part(Part::Layer(n, *part));
        let tensors: Vec<HostTensor> = parts.iter().map(tensor).collect::<Result<_, _>>()?;
        let rows = tensors.iter().filter_map(|t| t.shape.first()).sum();
        let row = tensors.first().and_then(|t| t.shape.get(1..)).unwrap_or_default();
        let shape: Vec<usize> = [1, rows].into_iter().chain(row.iter().copied()).collect();
        let pieces: Vec<HostBytes> = tensors.into_iter().map(|t| t.bytes).collect();
        Constant::of_pieces(self.backend, DType::Bf16, &shape, &pieces)
    }

    /// Queries, keys and values in one.: the original layout has them so.
    fn qkv(&self, n: usize) -> Result<Linear<B>, Error> {
        use LayerPart as L;
        let (weights, biases) = match self.checkpoint.layout() {
            Layout::Original => (&[L::QkvWeight][..], &[L::QkvBias][..]),
            _ => (&[L::QWeight, L::KWeight, L::VWeight][..], &[L::QBias, L::KBias, L::VBias][..]),
        };
        Ok(Linear { weight: self.rows(n, weights)?, bias: self.rows(n, biases)? })
    }

    fn experts(&self, n: usize, [blocks, scales, tiles, bias]: [LayerPart; 4]) -> Result<Experts<B>, Error> {
        let typed = |part, dtype| {
            let tensor = self.checkpoint.part(Part::Layer(n, part))?;
            Constant::import(self.backend, dtype, &tensor.shape, &tensor.bytes)
        };
        let (weight, scales) = match expert_format(self.checkpoint.layout()) {
            WeightFormat::Mxfp4 => (typed(blocks, DType::E2m1x2)?, Some(typed(scales, DType::E8m0)?)),
            _ => (typed(tiles, DType::U8)?, None),
        };
        Ok(Experts { weight, scales, bias: typed(bias, DType::Bf16)? })
    }

    fn layer(&self, n: usize) -> Result<LayerWeights<B>, Error> {
        use LayerPart as L;
        let constant = |part| self.constant(Part::Layer(n, part), None);
        Ok(LayerWeights {
            attn_norm: constant(L::AttnNorm)?,
            mlp_norm: constant(L::MlpNorm)?,
            qkv: self.qkv(n)?,
            out: self.linear(n, L::OutWeight, L::OutBias)?,
            sinks: constant(L::Sinks)?,
            router: self.linear(n, L::RouterWeight, L::RouterBias)?,
            up: self.experts(n, [L::UpBlocks, L::UpScales, L::UpTiles, L::UpBias])?,
            down: self.experts(n, [L::DownBlocks, L::DownScales, L::DownTiles, L::DownBias])?,
        })
    }
}
