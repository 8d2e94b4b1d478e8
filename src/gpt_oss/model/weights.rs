//! The tensors of a checkpoint, or of what stands for one, as constants of a backend, in the shapes the ops ask for.

use super::super::checkpoint::Layout;
use super::super::checkpoint::names::{LayerPart, Part};
use super::super::moe_block::MoeWeights;
use super::super::{Progress, config::Config};
use super::Options;
use super::source::{Source, Stored};
use crate::backend::{Constant, Hint, Provide, Runtime, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::Kernel;
use crate::mxfp4::{self, Tiled};
use crate::op::{Mxfp4PrepackArgs, Mxfp4PrepackSpec, WeightFormat};
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
    /// Of keys and of values, in each head.
    pub kv_scales: Option<[Constant<B>; 2]>,
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

/// What the experts of a layout are to the grouped GEMM, once loaded.
pub(super) fn expert_format<B: Runtime>(layout: Layout, options: &Options) -> WeightFormat {
    match layout {
        Layout::Hf | Layout::Original if !B::PREPACKS || options.published_experts => WeightFormat::Mxfp4,
        _ => WeightFormat::Mxfp4Tiled,
    }
}

impl<B: Runtime + Provide<Mxfp4PrepackSpec>> Weights<B> {
    /// `format`: that of [`expert_format`].
    pub(super) fn load(
        backend: &B,
        source: &dyn Source,
        format: WeightFormat,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        let Config { layers: count, vocab, hidden, .. } = *source.config();
        let loader = Loader { backend, source, format };
        let mut layers = Vec::with_capacity(count);
        for n in 0..count {
            progress(Progress { done: n as u64, total: count as u64 });
            layers.push(loader.layer(n)?);
        }
        let weights = Weights {
            embedding: loader.constant(Part::Embedding)?,
            head: loader.rows(&[Part::Head], &[1, vocab, hidden])?,
            final_norm: loader.constant(Part::FinalNorm)?,
            layers,
        };
        progress(Progress { done: count as u64, total: count as u64 });
        Ok(weights)
    }
}

struct Loader<'a, B: Runtime> {
    backend: &'a B,
    source: &'a dyn Source,
    format: WeightFormat,
}

impl<B: Runtime + Provide<Mxfp4PrepackSpec>> Loader<'_, B> {
    fn typed(&self, part: Part, dtype: DType) -> Result<Constant<B>, Error> {
        let Stored { shape, pieces, .. } = self.source.part(part)?;
        Constant::of_pieces(self.backend, dtype, &shape, &pieces)
    }

    fn constant(&self, part: Part) -> Result<Constant<B>, Error> {
        self.typed(part, DType::Bf16)
    }

    /// The rows of some tensors one after the other, seen in this shape.
    fn rows(&self, parts: &[Part], shape: &[usize]) -> Result<Constant<B>, Error> {
        let mut pieces = Vec::new();
        for part in parts {
            pieces.extend(self.source.part(*part)?.pieces);
        }
        Constant::of_pieces(self.backend, DType::Bf16, shape, &pieces)
    }

    /// A linear layer of `n` columns: the rows of some weights, and their biases.
    fn linear(
        &self,
        layer: usize,
        weights: &[LayerPart],
        biases: &[LayerPart],
        n: usize,
        k: usize,
    ) -> Result<Linear<B>, Error> {
        let of_layer = |parts: &[LayerPart]| parts.iter().map(|p| Part::Layer(layer, *p)).collect::<Vec<_>>();
        Ok(Linear { weight: self.rows(&of_layer(weights), &[1, n, k])?, bias: self.rows(&of_layer(biases), &[1, n])? })
    }

    /// Queries, keys and values in one. The original layout has them so.
    fn qkv(&self, layer: usize) -> Result<Linear<B>, Error> {
        use LayerPart as L;
        let (weights, biases) = match self.source.layout() {
            Layout::Original => (&[L::QkvWeight][..], &[L::QkvBias][..]),
            _ => (&[L::QWeight, L::KWeight, L::VWeight][..], &[L::QBias, L::KBias, L::VBias][..]),
        };
        let Config { hidden, q_heads, kv_heads, head_dim, .. } = *self.source.config();
        self.linear(layer, weights, biases, (q_heads + 2 * kv_heads) * head_dim, hidden)
    }

    fn experts(&self, n: usize, [blocks, scales, tiles, bias]: [LayerPart; 4]) -> Result<Experts<B>, Error> {
        let typed = |part, dtype| self.typed(Part::Layer(n, part), dtype);
        let (weight, scales) = match (self.source.layout(), self.format) {
            (_, WeightFormat::Mxfp4) => (typed(blocks, DType::E2m1x2)?, Some(typed(scales, DType::E8m0)?)),
            (Layout::Prepacked, _) => (typed(tiles, DType::U8)?, None),
            _ => (self.prepacked(Part::Layer(n, blocks), Part::Layer(n, scales))?, None),
        };
        Ok(Experts { weight, scales, bias: typed(bias, DType::Bf16)? })
    }

    /// Blocks \[E, N, K/32, 16\] and scales \[E, N, K/32\] as tiles \[E, bytes\], made by the device. Beside the tiles it holds one
    /// matrix of a layer's experts as published, for as long as that takes.
    fn prepacked(&self, blocks: Part, scales: Part) -> Result<Constant<B>, Error> {
        let (blocks, scales) = (self.source.part(blocks)?, self.source.part(scales)?);
        let [experts, n, row_blocks] = scales.shape[..] else {
            return Err(Error::input("scales of MXFP4 experts", format!("are [E, N, K/32], got {:?}", scales.shape)));
        };
        let k = row_blocks.saturating_mul(mxfp4::BLOCK);
        let kernel = Kernel::plan(self.backend, Mxfp4PrepackSpec { experts, n, k }, Hint::default())?;
        let constant =
            |dtype, shape: &[usize], from: &Stored| Constant::of_pieces(self.backend, dtype, shape, &from.pieces);
        let w = constant(DType::E2m1x2, &[experts, n, row_blocks, 16], &blocks)?;
        let w_scales = constant(DType::E8m0, &[experts, n, row_blocks], &scales)?;
        let mut tiles = Tensor::empty(self.backend, DType::U8, &[experts, Tiled::bytes(n, k)])?;
        let mut scratch = Tensor::empty(self.backend, DType::U8, &[kernel.scratch().bytes])?;
        self.backend.submit(|queue| {
            let args = Mxfp4PrepackArgs::new(w.view(), w_scales.view(), tiles.view_mut());
            kernel.enqueue(self.backend, args, scratch.view_mut(), queue)
        })?;
        // Waits: what the kernel reads is freed.
        tiles.read_prefix(self.backend, &[0])?;
        Ok(tiles.into())
    }

    fn kv_scales(&self, n: usize) -> Result<Option<[Constant<B>; 2]>, Error> {
        let constant = |scales: &[f64]| {
            let host = HostTensor::from_f64(DType::F32, &[scales.len()], scales)?;
            Constant::import(self.backend, DType::F32, &host.shape, &host.bytes)
        };
        let of_layer = self.source.kv_scales(n)?;
        of_layer.map(|[k, v]| Ok([constant(&k)?, constant(&v)?])).transpose()
    }

    fn layer(&self, n: usize) -> Result<LayerWeights<B>, Error> {
        use LayerPart as L;
        let constant = |part| self.constant(Part::Layer(n, part));
        let Config { hidden, experts, q_heads, head_dim, .. } = *self.source.config();
        Ok(LayerWeights {
            attn_norm: constant(L::AttnNorm)?,
            mlp_norm: constant(L::MlpNorm)?,
            qkv: self.qkv(n)?,
            out: self.linear(n, &[L::OutWeight], &[L::OutBias], hidden, q_heads * head_dim)?,
            sinks: constant(L::Sinks)?,
            kv_scales: self.kv_scales(n)?,
            router: self.linear(n, &[L::RouterWeight], &[L::RouterBias], experts, hidden)?,
            up: self.experts(n, [L::UpBlocks, L::UpScales, L::UpTiles, L::UpBias])?,
            down: self.experts(n, [L::DownBlocks, L::DownScales, L::DownTiles, L::DownBias])?,
        })
    }
}
