//! The model: weights of a checkpoint on a backend, and the forward pass.
//!
//! Weights stay as the checkpoint stores them (MXFP4 experts, bf16 the rest). Kernels are planned once for each row count;
//! activations live in buffers allocated once for the largest chunk.

mod dims;
mod forward;
mod session;
mod step;
mod weights;
mod workspace;

pub use forward::{Forward, Logits, Record};
pub use session::Session;

use super::checkpoint::Checkpoint;
use super::config::Config;
use super::progress::Progress;
use crate::backend::{Constant, Runtime};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::{AllOps, Kernel};
use crate::op::GroupedGemmSpec;
use dims::Dims;
use std::collections::BTreeMap;
use std::sync::Arc;
use step::Step;
use weights::Weights;
use workspace::Workspace;

/// How a model is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Type of activations and of the KV cache: f32, bf16 or f16; f64 with the cpu oracle.
    pub activations: DType,
    /// Longest sequence, tokens; the model's own limit where that is less. A session allocates its cache for it.
    pub max_context: usize,
    /// Most tokens computed at once; longer prompts are fed in pieces. Buffers are allocated for it.
    pub max_chunk: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { activations: DType::F32, max_context: 4096, max_chunk: 128 }
    }
}

struct RopeConstants<B: Runtime> {
    cos: Constant<B>,
    sin: Constant<B>,
}

/// A gpt-oss model on a backend.
pub struct Model<B: Runtime + AllOps> {
    backend: Arc<B>,
    dims: Dims,
    weights: Weights<B>,
    rope: RopeConstants<B>,
    work: Workspace<B>,
    steps: BTreeMap<usize, Step<B>>,
    heads: BTreeMap<usize, Kernel<GroupedGemmSpec, B>>,
}

impl<B: Runtime + AllOps> Model<B> {
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
        let dims = Dims::new(checkpoint.config().clone(), options, weights::expert_format(checkpoint.layout()))?;
        let weights = Weights::load(&*backend, checkpoint, progress)?;
        let table = dims.config.rope.table(0..dims.max_context as i64);
        let constant = |values: &[f64]| {
            let shape = [dims.max_context, dims.config.head_dim / 2];
            let host = HostTensor::from_f64(dims.wide(), &shape, values)?;
            Constant::import(&*backend, host.dtype, &shape, &host.bytes)
        };
        let rope = RopeConstants { cos: constant(&table.cos)?, sin: constant(&table.sin)? };
        let work = Workspace::new(&*backend, &dims)?;
        Ok(Model { backend, dims, weights, rope, work, steps: BTreeMap::new(), heads: BTreeMap::new() })
    }

    /// The model's dimensions.
    pub fn config(&self) -> &Config {
        &self.dims.config
    }

    /// Longest sequence a session holds, tokens.
    pub fn max_context(&self) -> usize {
        self.dims.max_context
    }

    /// An empty sequence.
    ///
    /// # Errors
    /// As [`Runtime::alloc`].
    pub fn session(&self) -> Result<Session<B>, Error> {
        Session::new(&self.backend, &self.dims)
    }
}
