//! The forward pass.

use super::Model;
use super::ahead::of;
use super::cache::Session;
use super::chunks::{Span, chunks};
use super::dims::Rows;
use super::step::{Ids, Pass, Step, head, plan_head};
use super::workspace::{HEAD_ROWS, Next, Workspace};
use crate::backend::{Replay, Scratch, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::gpt_oss::generate::{Sampler, Sampling};
use crate::host::HostTensor;
use crate::kernel::AllOps;
use std::collections::btree_map::Entry;
use std::ops::Range;

/// Which rows of logits [`Model::forward`] returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logits {
    /// One row a token.
    All,
    /// The last token's of each sequence.
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

/// A sequence and the tokens that follow it.
pub struct Feed<'a> {
    /// The sequence; its length grows by the tokens.
    pub session: &'a mut Session,
    /// At least one.
    pub tokens: &'a [u32],
}

impl<B: Replay + AllOps> Model<B> {
    /// Feeds tokens and gives logits, f32 (f64 in the oracle): \[tokens, vocab\], or \[1, vocab\] for the last.
    ///
    /// # Errors
    /// As [`Model::forward_batch`].
    pub fn forward(&mut self, session: &mut Session, tokens: &[u32], want: Forward<'_>) -> Result<HostTensor, Error> {
        self.forward_batch(&mut [Feed { session, tokens }], want)
    }

    /// Feeds each sequence its tokens, however many each has, and gives logits, sequence after sequence: a row for every
    /// token, or \[sequences, vocab\] for the last ones. T, where [`Forward`] speaks of it, counts all tokens.
    ///
    /// One token for each is a decode step: it is recorded once for this number of sequences (a CUDA graph) and replayed.
    ///
    /// # Errors
    /// [`Error::Input`] for no tokens, tokens outside the vocabulary, more than the context holds, or forced routing that
    /// does not fit; else as the kernels. After an error sequences are as long as before, or hold whole chunks more.
    pub fn forward_batch(&mut self, batch: &mut [Feed<'_>], mut want: Forward<'_>) -> Result<HostTensor, Error> {
        self.check(batch, want.routing)?;
        self.ahead = None;
        let total = batch.iter().map(|feed| feed.tokens.len()).sum::<usize>();
        if total == batch.len() && want.routing.is_none() && want.record.is_none() {
            self.decode(&of(batch), Ids::Given)?;
            for Feed { session, .. } in batch.iter_mut() {
                session.len += 1;
            }
            let shape = [batch.len(), self.parts.dims.config.vocab];
            return self.parts.work().logits.read_prefix(&*self.backend, &shape);
        }
        let lengths: Vec<usize> = batch.iter().map(|feed| feed.tokens.len()).collect();
        let (k, mut at, mut logits) = (self.parts.dims.config.top_k, 0, Vec::new());
        for chunk in chunks(&lengths, self.parts.dims.max_chunk) {
            let count: usize = chunk.iter().map(|span| span.tokens.len()).sum();
            let forced = want.routing.map(|all| {
                let rows = all.chunks_exact(total * k);
                rows.map(|layer| &layer[at * k..(at + count) * k]).collect::<Vec<_>>()
            });
            let next = chunk.iter().map(|span| {
                let Feed { session, tokens } = &batch[span.of];
                Next { seat: session.seat, len: session.len, tokens: &tokens[span.tokens.clone()] }
            });
            self.layers(&next.collect::<Vec<_>>(), forced.as_deref(), &mut want.record)?;
            let mut row = 0;
            for Span { of, tokens } in chunk {
                let rows = row..row + tokens.len();
                row = rows.end;
                match want.logits {
                    Logits::All => self.head(rows, &mut logits)?,
                    Logits::Last if tokens.end == lengths[of] => self.head(rows.end - 1..rows.end, &mut logits)?,
                    Logits::Last => {}
                }
                batch[of].session.len += tokens.len();
            }
            at += count;
        }
        let rows = if want.logits == Logits::All { total } else { batch.len() };
        HostTensor::new(self.parts.dims.wide(), &[rows, self.parts.dims.config.vocab], logits.into())
    }

    /// As [`Model::forward_batch`], and of each sequence the most likely next token, the lowest id among equal ones. In a
    /// decode step the device chooses.
    ///
    /// # Errors
    /// As [`Model::forward_batch`], and [`Error::Input`] where a logit is NaN or +inf.
    pub fn next_tokens(&mut self, batch: &mut [Feed<'_>]) -> Result<Vec<u32>, Error> {
        if batch.iter().any(|feed| feed.tokens.len() != 1) {
            let logits = self.forward_batch(batch, Forward::LAST)?.to_f64();
            let mut greedy = Sampler::new(Sampling::Greedy)?;
            return logits.chunks_exact(self.parts.dims.config.vocab).map(|row| greedy.next(row)).collect();
        }
        self.check(batch, None)?;
        self.pick(batch)
    }

    fn check(&self, batch: &[Feed<'_>], routing: Option<&[i32]>) -> Result<(), Error> {
        let (dims, mut total) = (&self.parts.dims, 0);
        if batch.is_empty() {
            return Err(Error::input("batch", "must be of at least one sequence, got none"));
        }
        for Feed { session, tokens } in batch {
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
            if !session.is_of(&self.seats) {
                return Err(Error::input("session", "was made by another model"));
            }
            total += tokens.len();
        }
        let need = dims.layer_paging.len() * total * dims.config.top_k;
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
        next: &[Next<'_>],
        forced: Option<&[&[i32]]>,
        record: &mut Option<Record<'_>>,
    ) -> Result<(), Error> {
        let Model { backend, parts, steps, scratch, .. } = self;
        let (backend, dims, mut work) = (&**backend, &parts.dims, parts.work());
        let lengths = || next.iter().map(|n| n.tokens.len());
        let (tokens, longest) = (lengths().sum(), lengths().max().unwrap_or(0));
        let rows = Rows { tokens, sequences: next.len(), longest };
        let step = match steps.entry(rows) {
            Entry::Occupied(known) => &*known.into_mut(),
            Entry::Vacant(new) => &*new.insert(Step::plan(backend, dims, rows)?),
        };
        reserve(backend, scratch, step.scratch())?;
        work.indices.write(backend, dims, next)?;
        let work = &mut *work;
        let mut run = |work: &mut Workspace<B>, calls: &dyn Fn(&mut Pass<'_, '_, B>) -> Result<(), Error>| {
            backend.submit(|queue| calls(&mut Pass { backend, parts, step, work, scratch: &mut *scratch, queue }))
        };
        let mut put = |name: &str, tensor: &Tensor<B>, width: usize| match record {
            Some(record) => tensor.read_prefix(backend, &[tokens, width]).map(|host| record(name, host)),
            None => Ok(()),
        };
        run(work, &|pass| pass.embed(Ids::Given))?;
        put("embed", &work.x[work.current], dims.config.hidden)?;
        for n in 0..dims.layer_paging.len() {
            run(work, &|pass| pass.attend(n))?;
            if n > 0 {
                // What the attention norm summed: the residual buffer before the current one.
                put(&format!("layer{}.out", n - 1), &work.x[1 - work.current], dims.config.hidden)?;
            }
            put(&format!("layer{n}.post_attn"), &work.x[work.current], dims.config.hidden)?;
            if let Some(experts) = forced.and_then(|f| f.get(n)) {
                step.moe.force(backend, experts, &mut work.moe)?;
            }
            run(work, &|pass| pass.mix(n, forced.is_some()))?;
            put(&format!("layer{n}.router_logits"), &work.moe.router_logits, dims.config.experts)?;
            put(&format!("layer{n}.topk_idx"), &work.moe.topk_idx, dims.config.top_k)?;
            put(&format!("layer{n}.topk_weight"), &work.moe.topk_weight, dims.config.top_k)?;
        }
        run(work, &|pass| pass.final_norm())?;
        put(&format!("layer{}.out", dims.layer_paging.len() - 1), &work.x[work.current], dims.config.hidden)?;
        put("final_norm", &work.normed, dims.config.hidden)
    }

    /// Appends the logits of rows of the final norm.
    fn head(&mut self, rows: Range<usize>, logits: &mut Vec<u8>) -> Result<(), Error> {
        let Model { backend, parts, heads, scratch, .. } = self;
        let (backend, mut work) = (&**backend, parts.work());
        for first in rows.clone().step_by(HEAD_ROWS) {
            let count = HEAD_ROWS.min(rows.end - first);
            let kernel = match heads.entry(count) {
                Entry::Occupied(known) => &*known.into_mut(),
                Entry::Vacant(new) => &*new.insert(plan_head(backend, &parts.dims, count)?),
            };
            reserve(backend, scratch, kernel.scratch())?;
            let work = &mut *work;
            backend.submit(|queue| head(backend, kernel, parts, first, work, scratch.view_mut(), queue))?;
            let shape = [count, parts.dims.config.vocab];
            logits.extend_from_slice(work.logits.read_prefix(backend, &shape)?.bytes.as_slice());
        }
        Ok(())
    }
}

/// Makes room for what a plan needs.
fn reserve<B: Replay>(backend: &B, scratch: &mut Tensor<B>, need: Scratch) -> Result<(), Error> {
    if scratch.shape().len() < need.bytes {
        *scratch = Tensor::empty(backend, DType::U8, &[need.bytes])?;
    }
    Ok(())
}
