//! The planned kernels for one row count, and the layers they run.

use super::RopeConstants;
use super::dims::Dims;
use super::session::LayerCache;
use super::weights::{LayerWeights, Linear};
use super::workspace::Workspace;
use crate::backend::{Hint, Runtime, Scratch, Tensor};
use crate::dtype::{DType, Scalar};
use crate::error::Error;
use crate::gpt_oss::moe_block::{MoeBlock, linear_args};
use crate::kernel::{AllOps, Kernel};
use crate::op::{
    EmbeddingArgs, EmbeddingSpec, FlashAttnArgs, FlashAttnSpec, GroupedGemmArgs, GroupedGemmSpec, KvAppendArgs,
    KvAppendSpec, RmsNormArgs, RmsNormSpec,
};
use crate::tensor::{View, ViewMut};

/// Everything a forward pass over T tokens of one sequence launches, but the head.
pub(super) struct Step<B: Runtime + AllOps> {
    tokens: usize,
    embedding: Kernel<EmbeddingSpec, B>,
    first_norm: Kernel<RmsNormSpec, B>,
    norm: Kernel<RmsNormSpec, B>,
    q: Kernel<GroupedGemmSpec, B>,
    kv: Kernel<GroupedGemmSpec, B>,
    /// By paging.
    append: Vec<Kernel<KvAppendSpec, B>>,
    attn: Vec<Kernel<FlashAttnSpec, B>>,
    out: Kernel<GroupedGemmSpec, B>,
    pub(super) moe: MoeBlock<B>,
}

/// Is there a residual to add in front of a norm?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Norm {
    First,
    WithResidual,
}

impl<B: Runtime + AllOps> Step<B> {
    pub(super) fn plan(backend: &B, dims: &Dims, tokens: usize) -> Result<Self, Error> {
        let (act, hint) = (dims.activations, Hint::default());
        let (q, kv) = (dims.config.q_heads * dims.config.head_dim, dims.config.kv_heads * dims.config.head_dim);
        let linear = |n, k, out| {
            let spec = GroupedGemmSpec::linear(tokens, n, k, act, DType::Bf16, Some(DType::Bf16), out);
            Kernel::plan(backend, spec, hint)
        };
        let norm = RmsNormSpec {
            rows: tokens,
            dim: dims.config.hidden,
            eps: Scalar(dims.config.rms_eps),
            x: dims.wide(),
            weight: DType::Bf16,
            out: act,
            residual: false,
        };
        let (vocab, hidden) = (dims.config.vocab, dims.config.hidden);
        let embedding = EmbeddingSpec { tokens, vocab, dim: hidden, table: DType::Bf16, out: dims.wide() };
        let (mut append, mut attn) = (Vec::new(), Vec::new());
        for (window, paging) in &dims.pagings {
            append.push(Kernel::plan(backend, dims.kv_append(tokens, paging.store()), hint)?);
            attn.push(Kernel::plan(backend, dims.flash_attn(tokens, *window, paging.logical, paging.store()), hint)?);
        }
        Ok(Step {
            tokens,
            embedding: Kernel::plan(backend, embedding, hint)?,
            first_norm: Kernel::plan(backend, norm, hint)?,
            norm: Kernel::plan(backend, RmsNormSpec { residual: true, ..norm }, hint)?,
            q: linear(q, hidden, dims.wide())?,
            kv: linear(kv, hidden, dims.wide())?,
            append,
            attn,
            out: linear(hidden, q, dims.wide())?,
            moe: MoeBlock::plan(backend, dims.moe(tokens), hint)?,
        })
    }

    /// Working memory that any of the launches needs.
    pub(super) fn scratch(&self) -> Scratch {
        let mut all = vec![self.embedding.scratch(), self.first_norm.scratch(), self.norm.scratch(), self.q.scratch()];
        all.extend([self.kv.scratch(), self.out.scratch(), self.moe.scratch()]);
        all.extend(self.append.iter().map(Kernel::scratch));
        all.extend(self.attn.iter().map(Kernel::scratch));
        let most = |f: fn(&Scratch) -> usize| all.iter().map(f).max().unwrap_or(0);
        Scratch { bytes: most(|s| s.bytes), align: most(|s| s.align) }
    }

    pub(super) fn embed(
        &self,
        backend: &B,
        table: View<'_, B>,
        work: &mut Workspace<B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        let spec = self.embedding.op();
        let ids = work.ids.prefix(&[self.tokens])?;
        let y = work.x[work.current].prefix_mut(&[self.tokens, spec.dim])?;
        let args = EmbeddingArgs { ids, table, y, status: None };
        self.embedding.enqueue(backend, args, work.scratch.view_mut(), queue)
    }

    /// `normed = norm(x)`, or `x += delta; normed = norm(x)`; the sum goes to the other of the two residual buffers, so that
    /// the value before it can still be read.
    pub(super) fn norm(
        &self,
        backend: &B,
        kind: Norm,
        weight: View<'_, B>,
        work: &mut Workspace<B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        let rows = [self.tokens, self.norm.op().dim];
        let [a, b] = &mut work.x;
        let (from, to) = if work.current == 0 { (a, b) } else { (b, a) };
        let x = from.prefix(&rows)?;
        let y = work.normed.prefix_mut(&rows)?;
        let scratch = work.scratch.view_mut();
        if kind == Norm::First {
            let args = RmsNormArgs { x, residual: None, weight, sum: None, y };
            return self.first_norm.enqueue(backend, args, scratch, queue);
        }
        let (residual, sum) = (Some(work.delta.prefix(&rows)?), Some(to.prefix_mut(&rows)?));
        self.norm.enqueue(backend, RmsNormArgs { x, residual, weight, sum, y }, scratch, queue)?;
        work.current = 1 - work.current;
        Ok(())
    }

    /// `delta = attention(normed)`, after writing the new keys and values into the cache.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn attention(
        &self,
        backend: &B,
        kind: usize,
        weights: &LayerWeights<B>,
        rope: &RopeConstants<B>,
        cache: &mut LayerCache<B>,
        block_table: &Tensor<B>,
        work: &mut Workspace<B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        let (append, attn) = (&self.append[kind], &self.attn[kind]);
        let FlashAttnSpec { q_heads, kv_heads, head_dim, .. } = *attn.op();
        let t = self.tokens;
        let (q, kv) = ([t, q_heads, head_dim], [t, kv_heads, head_dim]);
        let hidden = self.norm.op().dim;
        let x = work.normed.prefix(&[t, hidden])?;
        let linears = [
            (&self.q, &weights.q, &mut work.q, q_heads),
            (&self.kv, &weights.k, &mut work.k, kv_heads),
            (&self.kv, &weights.v, &mut work.v, kv_heads),
        ];
        for (kernel, weight, to, heads) in linears {
            let args = biased(x.clone(), weight, to.prefix_mut(&[t, heads * head_dim])?);
            kernel.enqueue(backend, args, work.scratch.view_mut(), queue)?;
        }
        let append_args = KvAppendArgs {
            k: work.k.prefix(&kv)?,
            v: work.v.prefix(&kv)?,
            q: Some(work.q.prefix(&q)?),
            positions: work.positions.prefix(&[t])?,
            cos: rope.cos.view(),
            sin: rope.sin.view(),
            slots: work.slots[kind].prefix(&[t])?,
            k_cache: cache.k.view_mut(),
            v_cache: cache.v.view_mut(),
            q_out: Some(work.q_rotated.prefix_mut(&q)?),
            status: None,
        };
        append.enqueue(backend, append_args, work.scratch.view_mut(), queue)?;
        let attn_args = FlashAttnArgs {
            q: work.q_rotated.prefix(&q)?,
            k: cache.k.view(),
            v: cache.v.view(),
            cu_seqlens_q: work.cu_seqlens_q.view(),
            cu_seqlens_k: None,
            k_start: None,
            k_len: Some(work.k_len.view()),
            block_table: Some(block_table.view()),
            kv_indptr: None,
            kv_indices: None,
            kv_last_page_len: None,
            sinks: Some(weights.sinks.view()),
            out: work.attended.prefix_mut(&q)?,
            lse: None,
            status: None,
        };
        attn.enqueue(backend, attn_args, work.scratch.view_mut(), queue)?;
        let attended = work.attended.prefix(&[t, q_heads * head_dim])?;
        let args = biased(attended, &weights.out, work.delta.prefix_mut(&[t, hidden])?);
        self.out.enqueue(backend, args, work.scratch.view_mut(), queue)
    }
}

fn biased<'a, B: Runtime>(a: View<'a, B>, linear: &'a Linear<B>, d: ViewMut<'a, B>) -> GroupedGemmArgs<'a, B> {
    linear_args(a, linear.weight(), Some(linear.bias()), d)
}
