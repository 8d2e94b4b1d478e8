//! The planned kernels for one number of rows, and the layers they run.

use super::Parts;
use super::dims::{Dims, Rows};
use super::weights::Linear;
use super::workspace::{Index, Workspace};
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

/// Everything a forward pass launches, but the head.
pub(super) struct Step<B: Runtime + AllOps> {
    pub(super) rows: Rows,
    embedding: Kernel<EmbeddingSpec, B>,
    first_norm: Kernel<RmsNormSpec, B>,
    norm: Kernel<RmsNormSpec, B>,
    qkv: Kernel<GroupedGemmSpec, B>,
    /// By paging.
    append: Vec<Kernel<KvAppendSpec, B>>,
    attn: Vec<Kernel<FlashAttnSpec, B>>,
    out: Kernel<GroupedGemmSpec, B>,
    pub(super) moe: MoeBlock<B>,
}

/// Is there a residual to add in front of a norm?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Norm {
    First,
    WithResidual,
}

/// Which tokens a step embeds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ids {
    /// Those of the indices.
    Given,
    /// What the step before chose.
    Picked,
}

/// The work of one call: a step's kernels, what they run on, what they record into.
pub(super) struct Pass<'a, 'q, B: Runtime + AllOps> {
    pub(super) backend: &'a B,
    pub(super) parts: &'a Parts<B>,
    pub(super) step: &'a Step<B>,
    pub(super) work: &'a mut Workspace<B>,
    pub(super) scratch: &'a mut Tensor<B>,
    pub(super) queue: &'a mut B::Queue<'q>,
}

impl<B: Runtime + AllOps> Step<B> {
    pub(super) fn plan(backend: &B, dims: &Dims, rows: Rows) -> Result<Self, Error> {
        let (act, wide, hint, tokens) = (dims.activations, dims.wide(), Hint::default(), rows.tokens);
        let (q, kv) = dims.heads();
        let linear = |n, k, out| {
            let spec = GroupedGemmSpec::linear(tokens, n, k, act, DType::Bf16, Some(DType::Bf16), out);
            Kernel::plan(backend, spec, hint)
        };
        let norm = RmsNormSpec {
            rows: tokens,
            dim: dims.config.hidden,
            eps: Scalar(dims.config.rms_eps),
            x: wide,
            weight: DType::Bf16,
            out: act,
            residual: false,
        };
        let (vocab, hidden) = (dims.config.vocab, dims.config.hidden);
        let embedding = EmbeddingSpec { tokens, vocab, dim: hidden, table: DType::Bf16, out: wide };
        let (mut append, mut attn) = (Vec::new(), Vec::new());
        for (window, paging) in &dims.pagings {
            append.push(Kernel::plan(backend, dims.kv_append(tokens, paging.store()), hint)?);
            attn.push(Kernel::plan(backend, dims.flash_attn(rows, *window, paging), hint)?);
        }
        Ok(Step {
            rows,
            embedding: Kernel::plan(backend, embedding, hint)?,
            first_norm: Kernel::plan(backend, norm, hint)?,
            norm: Kernel::plan(backend, RmsNormSpec { residual: true, ..norm }, hint)?,
            qkv: linear(q + 2 * kv, hidden, wide)?,
            append,
            attn,
            out: linear(hidden, q, wide)?,
            moe: MoeBlock::plan(backend, dims.moe(tokens), hint)?,
        })
    }

    /// Working memory that any of the launches needs.
    pub(super) fn scratch(&self) -> Scratch {
        let mut all =
            vec![self.embedding.scratch(), self.first_norm.scratch(), self.norm.scratch(), self.qkv.scratch()];
        all.extend([self.out.scratch(), self.moe.scratch()]);
        all.extend(self.append.iter().map(Kernel::scratch));
        all.extend(self.attn.iter().map(Kernel::scratch));
        let most = |f: fn(&Scratch) -> usize| all.iter().map(f).max().unwrap_or(0);
        Scratch { bytes: most(|s| s.bytes), align: most(|s| s.align) }
    }
}

impl<B: Runtime + AllOps> Pass<'_, '_, B> {
    pub(super) fn embed(&mut self, ids: Ids) -> Result<(), Error> {
        let Pass { backend, parts, step, work, .. } = self;
        work.current = 0;
        let ids = match ids {
            Ids::Given => work.indices.get(step.rows, Index::Ids)?,
            Ids::Picked => work.picked.prefix(&[step.rows.tokens])?,
        };
        let y = work.x[0].prefix_mut(&[step.rows.tokens, parts.dims.config.hidden])?;
        let args = EmbeddingArgs { ids, table: parts.weights.embedding.view(), y, status: None };
        step.embedding.enqueue(backend, args, self.scratch.view_mut(), self.queue)
    }

    /// A layer from the attention norm to the router's logits.
    pub(super) fn attend(&mut self, n: usize) -> Result<(), Error> {
        let layer = &self.parts.weights.layers[n];
        self.norm(if n == 0 { Norm::First } else { Norm::WithResidual }, layer.attn_norm.view())?;
        self.attention(n)?;
        self.norm(Norm::WithResidual, layer.mlp_norm.view())?;
        let Pass { backend, parts, step, work, scratch, queue } = self;
        let normed = work.normed.prefix(&[step.rows.tokens, parts.dims.config.hidden])?;
        step.moe.route(backend, normed, &layer.moe(), &mut work.moe, scratch.view_mut(), queue)
    }

    /// The rest of it: `delta = experts(normed)`. With `forced`, the experts are in their buffer already.
    pub(super) fn mix(&mut self, n: usize, forced: bool) -> Result<(), Error> {
        let Pass { backend, parts, step, work, scratch, queue } = self;
        match forced {
            true => step.moe.sort(backend, &mut work.moe, scratch.view_mut(), queue)?,
            false => step.moe.dispatch(backend, &mut work.moe, scratch.view_mut(), queue)?,
        }
        let rows = [step.rows.tokens, parts.dims.config.hidden];
        let (x, out) = (work.normed.prefix(&rows)?, work.delta.prefix_mut(&rows)?);
        let weights = parts.weights.layers[n].moe();
        step.moe.experts(backend, x, &weights, &mut work.moe, out, scratch.view_mut(), queue)
    }

    pub(super) fn final_norm(&mut self) -> Result<(), Error> {
        self.norm(Norm::WithResidual, self.parts.weights.final_norm.view())
    }

    /// `normed = norm(x)`, or `x += delta; normed = norm(x)`; the sum goes to the other of the two residual buffers, so that
    /// the value before it can still be read.
    fn norm(&mut self, kind: Norm, weight: View<'_, B>) -> Result<(), Error> {
        let Pass { backend, step, work, scratch, queue, .. } = self;
        let rows = [step.rows.tokens, step.norm.op().dim];
        let [a, b] = &mut work.x;
        let (from, to) = if work.current == 0 { (a, b) } else { (b, a) };
        let x = from.prefix(&rows)?;
        let y = work.normed.prefix_mut(&rows)?;
        if kind == Norm::First {
            let args = RmsNormArgs { x, residual: None, weight, sum: None, y };
            return step.first_norm.enqueue(backend, args, scratch.view_mut(), queue);
        }
        let (residual, sum) = (Some(work.delta.prefix(&rows)?), Some(to.prefix_mut(&rows)?));
        step.norm.enqueue(backend, RmsNormArgs { x, residual, weight, sum, y }, scratch.view_mut(), queue)?;
        work.current = 1 - work.current;
        Ok(())
    }

    /// `delta = attention(normed)`, after writing the new keys and values into the cache.
    fn attention(&mut self, n: usize) -> Result<(), Error> {
        let Pass { backend, parts, step, work, scratch, queue } = self;
        let (paging, weights, rows) = (parts.dims.layer_paging[n], &parts.weights.layers[n], step.rows);
        let (append, attn, indices, cache) =
            (&step.append[paging], &step.attn[paging], &work.indices, &mut work.cache[n]);
        let FlashAttnSpec { q_heads, kv_heads, head_dim, .. } = *attn.op();
        let (t, hidden, (q_width, kv_width)) = (rows.tokens, step.norm.op().dim, parts.dims.heads());
        let qkv_rows = [t, q_width + 2 * kv_width];
        let args = biased(work.normed.prefix(&[t, hidden])?, &weights.qkv, work.qkv.prefix_mut(&qkv_rows)?);
        step.qkv.enqueue(backend, args, scratch.view_mut(), queue)?;

        let qkv = work.qkv.prefix(&qkv_rows)?;
        let heads = |first, count| {
            let part = qkv.columns(first, &[count, head_dim]);
            part.ok_or_else(|| Error::input("attention", "heads outside the projection"))
        };
        let q = [t, q_heads, head_dim];
        let scales = weights.kv_scales.as_ref().filter(|_| parts.dims.kv_scales);
        let (k_scale, v_scale) = (scales.map(|[k, _]| k.view()), scales.map(|[_, v]| v.view()));
        let append_args = KvAppendArgs {
            q: Some(heads(0, q_heads)?),
            k: heads(q_width, kv_heads)?,
            v: heads(q_width + kv_width, kv_heads)?,
            positions: indices.get(rows, Index::Positions)?,
            cos: parts.rope.cos.view(),
            sin: parts.rope.sin.view(),
            slots: indices.get(rows, Index::Slots(paging))?,
            k_scale: k_scale.clone(),
            v_scale: v_scale.clone(),
            k_cache: cache.k.view_mut(),
            v_cache: cache.v.view_mut(),
            q_out: Some(work.q_rotated.prefix_mut(&q)?),
            status: None,
        };
        append.enqueue(backend, append_args, scratch.view_mut(), queue)?;

        let attn_args = FlashAttnArgs {
            q: work.q_rotated.prefix(&q)?,
            k: cache.k.view(),
            v: cache.v.view(),
            k_scale,
            v_scale,
            cu_seqlens_q: indices.get(rows, Index::CuSeqlensQ)?,
            cu_seqlens_k: None,
            k_start: None,
            k_len: Some(indices.get(rows, Index::KLen)?),
            block_table: Some(indices.block_table(paging, rows)?),
            kv_indptr: None,
            kv_indices: None,
            kv_last_page_len: None,
            sinks: Some(weights.sinks.view()),
            out: work.attended.prefix_mut(&q)?,
            lse: None,
            status: None,
        };
        attn.enqueue(backend, attn_args, scratch.view_mut(), queue)?;
        let args = biased(work.attended.prefix(&[t, q_width])?, &weights.out, work.delta.prefix_mut(&[t, hidden])?);
        step.out.enqueue(backend, args, scratch.view_mut(), queue)
    }
}

/// The head for so many rows.
pub(super) fn plan_head<B: Runtime + AllOps>(
    backend: &B,
    dims: &Dims,
    rows: usize,
) -> Result<Kernel<GroupedGemmSpec, B>, Error> {
    let (n, k, a) = (dims.config.vocab, dims.config.hidden, dims.activations);
    Kernel::plan(backend, GroupedGemmSpec::linear(rows, n, k, a, DType::Bf16, None, dims.wide()), Hint::default())
}

/// Logits of as many rows of the final norm as the kernel has, from `first` on.
pub(super) fn head<B: Runtime + AllOps>(
    backend: &B,
    kernel: &Kernel<GroupedGemmSpec, B>,
    parts: &Parts<B>,
    first: usize,
    work: &mut Workspace<B>,
    scratch: ViewMut<'_, B>,
    queue: &mut B::Queue<'_>,
) -> Result<(), Error> {
    let GroupedGemmSpec { rows, n, .. } = *kernel.op();
    let a = work.normed.view().rows(first..first + rows);
    let a = a.ok_or_else(|| Error::input("head", "rows outside the chunk"))?;
    let args = linear_args(a, parts.weights.head.view(), None, work.logits.prefix_mut(&[rows, n])?);
    kernel.enqueue(backend, args, scratch, queue)
}

fn biased<'a, B: Runtime>(a: View<'a, B>, linear: &'a Linear<B>, d: ViewMut<'a, B>) -> GroupedGemmArgs<'a, B> {
    linear_args(a, linear.weight(), Some(linear.bias()), d)
}
