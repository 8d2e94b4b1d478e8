//! The decode step: one token a sequence, recorded once for each number of sequences and replayed. What changes from step
//! to step (ids, positions, slots, lengths, pages) is on the device, in [`Indices`](super::workspace::Indices).

use super::Parts;
use super::dims::Rows;
use super::step::{self, Pass, Step, plan_head};
use crate::backend::{Hint, Replay, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::kernel::{AllOps, Kernel};
use crate::op::{ArgmaxArgs, ArgmaxSpec, GroupedGemmSpec};
use std::sync::{Arc, Mutex, PoisonError};

/// Records the layers, the head and the greedy choice over one token of each of so many sequences. The recording owns its plans, its scratch
/// and a share of everything else that it runs on.
pub(super) fn record<B: Replay + AllOps>(
    backend: &Arc<B>,
    parts: &Arc<Parts<B>>,
    sequences: usize,
) -> Result<B::Recorded<'static>, Error> {
    let step = Step::plan(&**backend, &parts.dims, Rows { tokens: sequences, sequences, longest: 1 })?;
    let head = plan_head(&**backend, &parts.dims, sequences)?;
    let GroupedGemmSpec { rows, n: columns, d: x, .. } = *head.op();
    let argmax = Kernel::plan(&**backend, ArgmaxSpec { rows, columns, x }, Hint::default())?;
    let scratch = [step.scratch(), head.scratch(), argmax.scratch()].map(|s| s.bytes).into_iter().max().unwrap_or(0);
    let scratch = Tensor::empty(&**backend, DType::U8, &[scratch])?;
    let (own, parts, scratch) = (backend.clone(), parts.clone(), Mutex::new(scratch));
    backend.record(move |queue| {
        let (mut work, mut scratch) = (parts.work(), scratch.lock().unwrap_or_else(PoisonError::into_inner));
        let (backend, work, scratch) = (&*own, &mut *work, &mut *scratch);
        let mut pass = Pass { backend, parts: &parts, step: &step, work, scratch, queue };
        pass.embed()?;
        for n in 0..parts.weights.layers.len() {
            pass.attend(n)?;
            pass.mix(n, false)?;
        }
        pass.final_norm()?;
        step::head(backend, &head, &parts, 0, work, scratch.view_mut(), queue)?;
        let args = ArgmaxArgs { x: work.logits.prefix(&[rows, columns])?, ids: work.picked.prefix_mut(&[rows])? };
        argmax.enqueue(backend, args, scratch.view_mut(), queue)
    })
}
