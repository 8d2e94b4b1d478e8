//! The model: weights of a checkpoint on a backend, and the forward pass.
//!
//! Weights stay as the checkpoint stores them (MXFP4 experts, bf16 the rest). Kernels are planned once for each row count;
//! activations and the cache live in buffers allocated once, for the largest chunk and the most sequences.

mod ahead;
mod cache;
mod chunks;
mod decode;
mod dims;
mod forward;
pub(crate) mod source;
mod step;
mod weights;
mod workspace;

pub use cache::Session;
pub use decode::StepTimes;
pub use forward::{Feed, Forward, Logits, Record};

use super::checkpoint::Checkpoint;
use super::config::Config;
use super::progress::Progress;
use super::synth::RandomWeights;
use crate::backend::{Constant, Replay, Runtime, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::{AllOps, Kernel};
use crate::op::GroupedGemmSpec;
use ahead::Ahead;
use cache::Seats;
use dims::{Dims, Rows};
use source::Source;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use step::{Ids, Step};
use weights::Weights;
use workspace::Workspace;

/// How a model is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Type of activations: f32, bf16 or f16; f64 with the cpu oracle.
    pub activations: DType,
    /// Type of the KV cache: that of activations where it is none, or f8e4m3, half of bf16's bytes. Then a checkpoint's scales of keys
    /// and values count, `self_attn.k_proj.k_scale` and `self_attn.v_proj.v_scale` of a layer (f32, one number or one a key head; 1
    /// where it has none): what they divide beyond 448 becomes 448.
    pub kv: Option<DType>,
    /// Longest sequence, tokens; the model's own limit where that is less. The cache is allocated for it.
    pub max_context: usize,
    /// Most tokens computed at once; longer prompts are fed in pieces. Buffers are allocated for it.
    pub max_chunk: usize,
    /// Most sequences at a time. The cache is allocated for all of them.
    pub max_sequences: usize,
    /// Leave a published checkpoint's experts in its own layout also where kernels are faster with tiles
    /// ([`Runtime::PREPACKS`]), to compare the two. Weights that are loaded stay as they are.
    pub published_experts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            activations: DType::F32,
            kv: None,
            max_context: 4096,
            max_chunk: 128,
            max_sequences: 1,
            published_experts: false,
        }
    }
}

struct RopeConstants<B: Runtime> {
    cos: Constant<B>,
    sin: Constant<B>,
}

/// What recorded steps share with the model: none of it is replaced while they live.
struct Parts<B: Runtime> {
    dims: Dims,
    weights: Arc<Weights<B>>,
    rope: RopeConstants<B>,
    work: Mutex<Workspace<B>>,
}

impl<B: Runtime> Parts<B> {
    fn work(&self) -> MutexGuard<'_, Workspace<B>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gpt-oss model on a backend.
pub struct Model<B: Replay + AllOps> {
    backend: Arc<B>,
    parts: Arc<Parts<B>>,
    seats: Arc<Seats>,
    steps: BTreeMap<Rows, Step<B>>,
    heads: BTreeMap<usize, Kernel<GroupedGemmSpec, B>>,
    /// Of the steps and heads; recorded steps have their own, because this one grows.
    scratch: Tensor<B>,
    /// By sequences.
    decodes: BTreeMap<(usize, Ids), B::Recorded<'static>>,
    ahead: Option<Ahead>,
}

impl<B: Replay + AllOps> Model<B> {
    /// Brings a checkpoint's weights to a backend. Where the backend shares the host's memory they stay in the map.
    ///
    /// # Errors
    /// [`Error::Input`] for options that make no sense, else as [`Runtime::import`] and [`Kernel::plan`].
    pub fn load(
        backend: Arc<B>,
        checkpoint: &Checkpoint,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        Self::of(backend, checkpoint, options, progress)
    }

    /// A model of random weights, without a file.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn random(
        backend: Arc<B>,
        weights: &RandomWeights,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        Self::of(backend, weights, options, progress)
    }

    fn of(
        backend: Arc<B>,
        source: &dyn Source,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        let format = weights::expert_format::<B>(source.layout(), options);
        let dims = Dims::new(source.config().clone(), options, format)?;
        let weights = Weights::load(&*backend, source, format, progress)?;
        Self::with_weights(backend, dims, Arc::new(weights))
    }

    /// The same weights under other options. Sessions of this model end with it.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn with_options(self, options: &Options) -> Result<Self, Error> {
        let Dims { config, weights: format, .. } = &self.parts.dims;
        let dims = Dims::new(config.clone(), options, *format)?;
        let (backend, weights) = (self.backend.clone(), self.parts.weights.clone());
        // The cache and the activations of this model first: both might not fit.
        drop(self);
        Self::with_weights(backend, dims, weights)
    }

    fn with_weights(backend: Arc<B>, mut dims: Dims, weights: Arc<Weights<B>>) -> Result<Self, Error> {
        dims.kv_scales = dims.cache == DType::F8E4m3 && weights.layers.iter().any(|layer| layer.kv_scales.is_some());
        let table = dims.config.rope.table(0..dims.max_context as i64);
        let constant = |values: &[f64]| {
            let shape = [dims.max_context, dims.config.head_dim / 2];
            let host = HostTensor::from_f64(dims.wide(), &shape, values)?;
            Constant::import(&*backend, host.dtype, &shape, &host.bytes)
        };
        let rope = RopeConstants { cos: constant(&table.cos)?, sin: constant(&table.sin)? };
        let work = Mutex::new(Workspace::new(&*backend, &dims)?);
        Ok(Model {
            scratch: Tensor::empty(&*backend, DType::U8, &[0])?,
            seats: Arc::new(Seats::new(dims.max_sequences)),
            parts: Arc::new(Parts { dims, weights, rope, work }),
            backend,
            steps: BTreeMap::new(),
            heads: BTreeMap::new(),
            decodes: BTreeMap::new(),
            ahead: None,
        })
    }

    /// The model's dimensions.
    pub fn config(&self) -> &Config {
        &self.parts.dims.config
    }

    /// Longest sequence a session holds, tokens.
    pub fn max_context(&self) -> usize {
        self.parts.dims.max_context
    }

    /// An empty sequence.
    ///
    /// # Errors
    /// [`Error::Input`] where there are `max_sequences` already.
    pub fn session(&self) -> Result<Session, Error> {
        Session::new(&self.seats)
    }
}
