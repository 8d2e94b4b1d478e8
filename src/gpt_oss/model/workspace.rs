//! Activations and small index tensors, allocated once for the largest chunk and used by every layer.

use super::dims::Dims;
use super::session::Session;
use crate::backend::{Runtime, Scratch, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::gpt_oss::moe_block::MoeBuffers;

/// Rows of the head computed at once: logits are wide (201088 columns in gpt-oss).
pub(super) const HEAD_ROWS: usize = 16;

pub(super) struct Workspace<B: Runtime> {
    /// The residual stream, before and after the latest addition; `current` says which is after.
    pub x: [Tensor<B>; 2],
    pub current: usize,
    pub normed: Tensor<B>,
    /// What attention or the experts add to the residual stream.
    pub delta: Tensor<B>,
    pub q: Tensor<B>,
    pub q_rotated: Tensor<B>,
    pub k: Tensor<B>,
    pub v: Tensor<B>,
    pub attended: Tensor<B>,
    pub moe: MoeBuffers<B>,
    /// \[HEAD_ROWS, vocab\].
    pub logits: Tensor<B>,
    pub ids: Tensor<B>,
    pub positions: Tensor<B>,
    /// Of each paging.
    pub slots: Vec<Tensor<B>>,
    pub cu_seqlens_q: Tensor<B>,
    pub k_len: Tensor<B>,
    pub scratch: Tensor<B>,
}

impl<B: Runtime> Workspace<B> {
    pub(super) fn new(backend: &B, dims: &Dims) -> Result<Self, Error> {
        let (t, act) = (dims.max_chunk, dims.activations);
        let (q, kv) = (dims.config.q_heads * dims.config.head_dim, dims.config.kv_heads * dims.config.head_dim);
        let new = |dtype, shape: &[usize]| Tensor::empty(backend, dtype, shape);
        let rows = |width| new(act, &[t, width]);
        let wide = |width| new(dims.wide(), &[t, width]);
        Ok(Workspace {
            x: [wide(dims.config.hidden)?, wide(dims.config.hidden)?],
            current: 0,
            normed: rows(dims.config.hidden)?,
            delta: wide(dims.config.hidden)?,
            q: wide(q)?,
            q_rotated: rows(q)?,
            k: wide(kv)?,
            v: wide(kv)?,
            attended: rows(q)?,
            moe: MoeBuffers::new(backend, &dims.moe(t))?,
            logits: new(dims.wide(), &[HEAD_ROWS.min(t), dims.config.vocab])?,
            ids: new(DType::I32, &[t])?,
            positions: new(DType::I32, &[t])?,
            slots: dims.pagings.iter().map(|_| new(DType::I32, &[t])).collect::<Result<_, _>>()?,
            cu_seqlens_q: new(DType::I32, &[2])?,
            k_len: new(DType::I32, &[1])?,
            scratch: new(DType::U8, &[0])?,
        })
    }

    /// Makes room for what a plan needs.
    pub(super) fn reserve(&mut self, backend: &B, need: Scratch) -> Result<(), Error> {
        if self.scratch.shape().len() < need.bytes {
            self.scratch = Tensor::empty(backend, DType::U8, &[need.bytes])?;
        }
        Ok(())
    }

    /// Writes what the device must know of the next tokens of a session.
    pub(super) fn set_tokens(
        &mut self,
        backend: &B,
        dims: &Dims,
        session: &Session<B>,
        tokens: &[u32],
    ) -> Result<(), Error> {
        let positions = session.len..session.len + tokens.len();
        write_i32(backend, &mut self.ids, tokens.iter().map(|t| *t as usize))?;
        write_i32(backend, &mut self.positions, positions.clone())?;
        for ((_, paging), slots) in dims.pagings.iter().zip(&mut self.slots) {
            write_i32(backend, slots, positions.clone().map(|p| paging.slot(p)))?;
        }
        write_i32(backend, &mut self.cu_seqlens_q, [0, tokens.len()])?;
        write_i32(backend, &mut self.k_len, [positions.end])
    }
}

/// All values are below 2^31: they are bounded by the vocabulary and by `max_context`.
fn write_i32<B: Runtime>(
    backend: &B,
    to: &mut Tensor<B>,
    values: impl IntoIterator<Item = usize>,
) -> Result<(), Error> {
    let bytes: Vec<u8> = values.into_iter().flat_map(|v| (v as i32).to_le_bytes()).collect();
    to.write_prefix(backend, &bytes)
}
