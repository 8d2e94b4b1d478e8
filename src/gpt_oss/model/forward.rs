//! The forward pass.

use super::Model;
use super::session::Session;
use super::step::{Norm, Step};
use super::workspace::HEAD_ROWS;
use crate::backend::{Hint, Runtime, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::gpt_oss::moe_block::linear_args;
use crate::host::HostTensor;
use crate::kernel::{AllOps, Kernel};
use crate::op::GroupedGemmSpec;
use std::collections::btree_map::Entry;

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
    /// Experts to use instead of the router's choice, \[layers, T, k\]; their weights come from their own logits.
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

impl<B: Runtime + AllOps> Model<B> {
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
        let (chunk, k) = (self.dims.max_chunk, self.dims.config.top_k);
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
        let vocab = self.dims.config.vocab;
        let rows = if want.logits == Logits::All { tokens.len() } else { 1 };
        HostTensor::new(self.dims.wide(), &[rows, vocab], logits.into())
    }

    fn check(&self, session: &Session<B>, tokens: &[u32], routing: Option<&[i32]>) -> Result<(), Error> {
        let dims = &self.dims;
        if tokens.is_empty() {
            return Err(Error::input("tokens", "must be at least one, got none"));
        }
        if let Some((at, id)) = tokens.iter().enumerate().find(|(_, t)| **t as usize >= dims.config.vocab) {
            let problem =
                format!("is outside the vocabulary of {} (0 to {})", dims.config.vocab, dims.config.vocab - 1);
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
        let need = dims.layer_paging.len() * tokens.len() * dims.config.top_k;
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
        put("embed", &work.x[work.current], dims.config.hidden)?;
        for (n, (layer, cache)) in weights.layers.iter().zip(&mut session.layers).enumerate() {
            let kind = dims.layer_paging[n];
            let moe = layer.moe();
            backend.submit(|queue| {
                let norm = if n == 0 { Norm::First } else { Norm::WithResidual };
                step.norm(backend, norm, layer.attn_norm.view(), work, queue)?;
                let table = &session.block_tables[kind];
                step.attention(backend, kind, layer, rope, cache, table, work, queue)?;
                step.norm(backend, Norm::WithResidual, layer.mlp_norm.view(), work, queue)?;
                let normed = work.normed.prefix(&[t, dims.config.hidden])?;
                step.moe.route(backend, normed, &moe, &mut work.moe, work.scratch.view_mut(), queue)
            })?;
            if n > 0 {
                // What the attention norm summed: the residual buffer before the current one.
                put(&format!("layer{}.out", n - 1), &work.x[1 - work.current], dims.config.hidden)?;
            }
            put(&format!("layer{n}.post_attn"), &work.x[work.current], dims.config.hidden)?;
            if let Some(experts) = forced.and_then(|f| f.get(n)) {
                step.moe.force(backend, experts, &mut work.moe)?;
            }
            backend.submit(|queue| {
                match forced {
                    Some(_) => step.moe.sort(backend, &mut work.moe, work.scratch.view_mut(), queue)?,
                    None => step.moe.dispatch(backend, &mut work.moe, work.scratch.view_mut(), queue)?,
                }
                let rows = [t, dims.config.hidden];
                let (x, out) = (work.normed.prefix(&rows)?, work.delta.prefix_mut(&rows)?);
                step.moe.experts(backend, x, &moe, &mut work.moe, out, work.scratch.view_mut(), queue)
            })?;
            put(&format!("layer{n}.router_logits"), &work.moe.router_logits, dims.config.experts)?;
            put(&format!("layer{n}.topk_idx"), &work.moe.topk_idx, dims.config.top_k)?;
            put(&format!("layer{n}.topk_weight"), &work.moe.topk_weight, dims.config.top_k)?;
        }
        backend.submit(|queue| step.norm(backend, Norm::WithResidual, weights.final_norm.view(), work, queue))?;
        put(&format!("layer{}.out", dims.layer_paging.len() - 1), &work.x[work.current], dims.config.hidden)?;
        put("final_norm", &work.normed, dims.config.hidden)
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
                    let (n, k, a) = (dims.config.vocab, dims.config.hidden, dims.activations);
                    let spec = GroupedGemmSpec::linear(rows, n, k, a, DType::Bf16, None, dims.wide());
                    &*new.insert(Kernel::plan(backend, spec, Hint::default())?)
                }
            };
            work.reserve(backend, kernel.scratch())?;
            backend.submit(|queue| {
                let a = work.normed.view().rows(start..start + rows);
                let a = a.ok_or_else(|| Error::input("head", "rows outside the chunk"))?;
                let args =
                    linear_args(a, weights.head.view(), None, work.logits.prefix_mut(&[rows, dims.config.vocab])?);
                kernel.enqueue(backend, args, work.scratch.view_mut(), queue)
            })?;
            logits.extend_from_slice(work.logits.read_prefix(backend, &[rows, dims.config.vocab])?.bytes.as_slice());
        }
        Ok(())
    }
}
