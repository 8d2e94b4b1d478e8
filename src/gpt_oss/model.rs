//! The model: weights of a checkpoint on a backend, and the forward pass.
//!
//! Weights stay as the checkpoint stores them (MXFP4 experts, bf16 the rest). Kernels are planned once for each row count;
//! activations live in buffers allocated once for the largest chunk.

mod session;
mod step;
mod weights;
mod workspace;

pub use session::Session;

use super::checkpoint::Checkpoint;
use super::config::Config;
use super::moe_block::{MoeSpec, linear_args};
use super::progress::Progress;
use crate::backend::{Constant, Hint, Runtime, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::{AllOps, Kernel};
use crate::mutation::{Rule, wrong};
use crate::op::{GroupedGemmSpec, Pairing, Swiglu, WeightFormat, moe::Score};
use session::Paging;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use step::{Norm, Step};
use weights::Weights;
use workspace::{HEAD_ROWS, Workspace};

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

/// Longest context a model is run with, whatever its config allows: the rope table is made for all of it.
const MAX_CONTEXT: usize = 1 << 20;

/// Which rows of logits [`Model::forward`] returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logits {
    /// One row a token.
    All,
    /// The last token's.
    Last,
}

/// Receives intermediate results by name.
pub type Record<'a> = &'a mut dyn FnMut(&str, HostTensor);

/// What a forward pass is asked for.
pub struct Forward<'a> {
    /// Which logits.
    pub logits: Logits,
    /// Experts to use instead of the router's choice, \[layers, T, k\]; they weigh by a softmax over their own logits.
    pub routing: Option<&'a [i32]>,
    /// Receives `embed`, `layerN.post_attn`, `layerN.out` (the residual stream after attention and after the experts),
    /// `layerN.router_logits`, `layerN.topk_idx`, `layerN.topk_weight` and `final_norm`, each \[rows, ..\], once for every
    /// chunk of at most `max_chunk` tokens. Waits for the device at each.
    pub record: Option<Record<'a>>,
}

impl Forward<'_> {
    /// The last token's logits, the router's own choice, nothing recorded.
    pub const LAST: Forward<'static> = Forward { logits: Logits::Last, routing: None, record: None };
}

/// The dimensions that plans and buffers depend on.
struct Dims {
    activations: DType,
    max_context: usize,
    max_chunk: usize,
    hidden: usize,
    intermediate: usize,
    experts: usize,
    top_k: usize,
    vocab: usize,
    q_heads: usize,
    kv_heads: usize,
    head_dim: usize,
    sm_scale: f64,
    rms_eps: f64,
    pairing: Pairing,
    swiglu: Swiglu,
    score: Score,
    weights: WeightFormat,
    /// Each window that some layer has (0: all keys), and how its layers keep their keys.
    pagings: Vec<(usize, Paging)>,
    /// Index into `pagings` of each layer.
    layer_paging: Vec<usize>,
}

struct RopeConstants<B: Runtime> {
    cos: Constant<B>,
    sin: Constant<B>,
}

/// A gpt-oss model on a backend.
pub struct Model<B: Runtime + AllOps> {
    backend: Arc<B>,
    config: Config,
    dims: Dims,
    weights: Weights<B>,
    rope: RopeConstants<B>,
    work: Workspace<B>,
    steps: BTreeMap<usize, Step<B>>,
    heads: BTreeMap<usize, Kernel<GroupedGemmSpec, B>>,
}

impl Dims {
    fn new(config: &Config, options: &Options, weights: WeightFormat) -> Result<Self, Error> {
        let max_context = options.max_context.min(config.max_context);
        let max_chunk = options.max_chunk.min(max_context);
        for (name, value) in [("max_context", max_context), ("max_chunk", max_chunk)] {
            if value == 0 {
                return Err(Error::input(name, "must be at least 1 token, got 0"));
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
                pagings.push((window, Paging::new(window, max_context, max_chunk)));
            }
        }
        Ok(Dims {
            activations: options.activations,
            max_context,
            max_chunk,
            hidden: config.hidden,
            intermediate: config.intermediate,
            experts: config.experts,
            top_k: config.top_k,
            vocab: config.vocab,
            q_heads: config.q_heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            sm_scale: config.sm_scale,
            rms_eps: config.rms_eps,
            pairing: config.pairing,
            swiglu: config.swiglu,
            score: config.score,
            weights,
            pagings,
            layer_paging,
        })
    }

    /// Type of what bf16 would be too narrow for: logits, rope tables, router weights.
    fn wide(&self) -> DType {
        if self.activations == DType::F64 { DType::F64 } else { DType::F32 }
    }

    fn moe(&self, tokens: usize) -> MoeSpec {
        MoeSpec {
            tokens,
            hidden: self.hidden,
            intermediate: self.intermediate,
            experts: self.experts,
            top_k: self.top_k,
            x: self.activations,
            weights: self.weights,
            dense: DType::Bf16,
            score: self.score,
            swiglu: self.swiglu,
        }
    }
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
        let config = checkpoint.config().clone();
        let dims = Dims::new(&config, options, weights::expert_format(checkpoint.layout()))?;
        let weights = Weights::load(&*backend, checkpoint, progress)?;
        let table = config.rope.table(0..dims.max_context as i64);
        let constant = |values: &[f64]| {
            let shape = [dims.max_context, config.head_dim / 2];
            let host = HostTensor::from_f64(dims.wide(), &shape, values)?;
            Constant::import(&*backend, host.dtype, &shape, &host.bytes)
        };
        let rope = RopeConstants { cos: constant(&table.cos)?, sin: constant(&table.sin)? };
        let work = Workspace::new(&*backend, &dims)?;
        Ok(Model { backend, config, dims, weights, rope, work, steps: BTreeMap::new(), heads: BTreeMap::new() })
    }

    /// The model's dimensions.
    pub fn config(&self) -> &Config {
        &self.config
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

    /// Feeds tokens and gives logits, f32 (f64 in the oracle): \[tokens, vocab\], or \[1, vocab\] for the last.
    ///
    /// # Errors
    /// [`Error::Input`] for no tokens, tokens outside the vocabulary, more than the context holds, or forced routing that
    /// does not fit; else as the kernels. After an error the session is as long as before, or holds whole chunks more.
    pub fn forward(
        &mut self,
        session: &mut Session<B>,
        tokens: &[u32],
        mut want: Forward<'_>,
    ) -> Result<HostTensor, Error> {
        self.check(session, tokens, want.routing)?;
        let (chunk, k) = (self.dims.max_chunk, self.dims.top_k);
        let mut logits = Vec::new();
        for (i, piece) in tokens.chunks(chunk).enumerate() {
            let at = i * chunk;
            let forced = want.routing.map(|all| {
                let rows = all.chunks_exact(tokens.len() * k);
                rows.map(|layer| &layer[at * k..(at + piece.len()) * k]).collect::<Vec<_>>()
            });
            self.layers(session, piece, forced.as_deref(), &mut want.record)?;
            match want.logits {
                Logits::All => self.head(0, piece.len(), &mut logits)?,
                Logits::Last if at + piece.len() == tokens.len() => self.head(piece.len() - 1, 1, &mut logits)?,
                Logits::Last => {}
            }
            session.len += piece.len();
        }
        let vocab = self.dims.vocab;
        let rows = if want.logits == Logits::All { tokens.len() } else { 1 };
        HostTensor::new(self.dims.wide(), &[rows, vocab], logits.into())
    }

    fn check(&self, session: &Session<B>, tokens: &[u32], routing: Option<&[i32]>) -> Result<(), Error> {
        let dims = &self.dims;
        if tokens.is_empty() {
            return Err(Error::input("tokens", "must be at least one, got none"));
        }
        if let Some((at, id)) = tokens.iter().enumerate().find(|(_, t)| **t as usize >= dims.vocab) {
            let problem = format!("is outside the vocabulary of {} (0 to {})", dims.vocab, dims.vocab - 1);
            return Err(Error::input(format!("token {id} at position {at}"), problem));
        }
        let len = session.len.saturating_add(tokens.len());
        if len > dims.max_context {
            let problem = format!("needs {len} positions, the context holds {}", dims.max_context);
            return Err(Error::input(format!("{} tokens after {}", tokens.len(), session.len), problem));
        }
        if session.layers.len() != dims.layer_paging.len() || session.block_tables.len() != dims.pagings.len() {
            return Err(Error::input("session", "was made by another model"));
        }
        let need = dims.layer_paging.len() * tokens.len() * dims.top_k;
        match routing {
            Some(forced) if forced.len() != need => {
                Err(Error::input("forced routing", format!("must be {need} experts, got {}", forced.len())))
            }
            _ => Ok(()),
        }
    }

    /// All layers and the final norm, over one chunk.
    fn layers(
        &mut self,
        session: &mut Session<B>,
        tokens: &[u32],
        forced: Option<&[&[i32]]>,
        record: &mut Option<Record<'_>>,
    ) -> Result<(), Error> {
        let Model { backend, dims, weights, rope, work, steps, .. } = self;
        let (backend, t) = (&**backend, tokens.len());
        let step = match steps.entry(t) {
            Entry::Occupied(known) => &*known.into_mut(),
            Entry::Vacant(new) => &*new.insert(Step::plan(backend, dims, t)?),
        };
        work.reserve(backend, step.scratch())?;
        work.set_tokens(backend, dims, session, tokens)?;
        let mut put = |name: &str, tensor: &Tensor<B>, width: usize| match record {
            Some(record) => tensor.read_prefix(backend, &[t, width]).map(|host| record(name, host)),
            None => Ok(()),
        };
        backend.submit(|queue| step.embed(backend, weights.embedding.view(), work, queue))?;
        put("embed", &work.x[work.current], dims.hidden)?;
        for (n, (layer, cache)) in weights.layers.iter().zip(&mut session.layers).enumerate() {
            let kind = dims.layer_paging[n];
            let moe = layer.moe();
            backend.submit(|queue| {
                let norm = if n == 0 { Norm::First } else { Norm::WithResidual };
                step.norm(backend, norm, layer.attn_norm.view(), work, queue)?;
                let table = &session.block_tables[kind];
                step.attention(backend, kind, layer, rope, cache, table, work, queue)?;
                step.norm(backend, Norm::WithResidual, layer.mlp_norm.view(), work, queue)?;
                let normed = work.normed.prefix(&[t, dims.hidden])?;
                step.moe.route(backend, normed, &moe, &mut work.moe, work.scratch.view_mut(), queue)
            })?;
            if n > 0 {
                // What the attention norm summed: the residual buffer before the current one.
                put(&format!("layer{}.out", n - 1), &work.x[1 - work.current], dims.hidden)?;
            }
            put(&format!("layer{n}.post_attn"), &work.x[work.current], dims.hidden)?;
            if let Some(experts) = forced.and_then(|f| f.get(n)) {
                step.moe.force(backend, experts, &mut work.moe)?;
            }
            backend.submit(|queue| {
                match forced {
                    Some(_) => step.moe.sort(backend, &mut work.moe, work.scratch.view_mut(), queue)?,
                    None => step.moe.dispatch(backend, &mut work.moe, work.scratch.view_mut(), queue)?,
                }
                let rows = [t, dims.hidden];
                let (x, out) = (work.normed.prefix(&rows)?, work.delta.prefix_mut(&rows)?);
                step.moe.experts(backend, x, &moe, &mut work.moe, out, work.scratch.view_mut(), queue)
            })?;
            put(&format!("layer{n}.router_logits"), &work.moe.router_logits, dims.experts)?;
            put(&format!("layer{n}.topk_idx"), &work.moe.topk_idx, dims.top_k)?;
            put(&format!("layer{n}.topk_weight"), &work.moe.topk_weight, dims.top_k)?;
        }
        backend.submit(|queue| step.norm(backend, Norm::WithResidual, weights.final_norm.view(), work, queue))?;
        put(&format!("layer{}.out", dims.layer_paging.len() - 1), &work.x[work.current], dims.hidden)?;
        put("final_norm", &work.normed, dims.hidden)
    }

    /// Appends the logits of `count` rows of the final norm, from `first` on.
    fn head(&mut self, first: usize, count: usize, logits: &mut Vec<u8>) -> Result<(), Error> {
        let Model { backend, dims, weights, work, heads, .. } = self;
        let backend = &**backend;
        for start in (first..first + count).step_by(HEAD_ROWS) {
            let rows = HEAD_ROWS.min(first + count - start);
            let kernel = match heads.entry(rows) {
                Entry::Occupied(known) => &*known.into_mut(),
                Entry::Vacant(new) => {
                    let (n, k, a) = (dims.vocab, dims.hidden, dims.activations);
                    let spec = GroupedGemmSpec::linear(rows, n, k, a, DType::Bf16, None, dims.wide());
                    &*new.insert(Kernel::plan(backend, spec, Hint::default())?)
                }
            };
            work.reserve(backend, kernel.scratch())?;
            backend.submit(|queue| {
                let a = work.normed.view().rows(start..start + rows);
                let a = a.ok_or_else(|| Error::input("head", "rows outside the chunk"))?;
                let args = linear_args(a, weights.head.view(), None, work.logits.prefix_mut(&[rows, dims.vocab])?);
                kernel.enqueue(backend, args, work.scratch.view_mut(), queue)
            })?;
            logits.extend_from_slice(work.logits.read_prefix(backend, &[rows, dims.vocab])?.bytes.as_slice());
        }
        Ok(())
    }
}
