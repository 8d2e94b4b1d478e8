//! The decode step: one token a sequence, recorded once for each number of sequences and replayed. What changes from step
//! to step (ids, positions, slots, lengths, pages) is on the device, in [`Indices`](super::workspace::Indices).

use super::dims::Rows;
use super::step::{self, Ids, Pass, Step, plan_head};
use super::{Feed, Model, Parts};
use crate::backend::{Hint, LaunchTime, Replay, Tensor, Timing};
use crate::dtype::DType;
use crate::error::Error;
use crate::kernel::{AllOps, Kernel};
use crate::op::{ArgmaxArgs, ArgmaxSpec, GroupedGemmSpec};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs of a step that is timed.
const TIMED: usize = 16;

/// Records the layers, the head and the greedy choice over one token of each of so many sequences. The recording owns its plans, its scratch
/// and a share of everything else that it runs on.
pub(super) fn record<B: Replay + AllOps>(
    backend: &Arc<B>,
    parts: &Arc<Parts<B>>,
    sequences: usize,
    ids: Ids,
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
        pass.embed(ids)?;
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

/// Where a decode step's time goes.
pub struct StepTimes {
    /// The step by the device's clock, seconds.
    pub device: f64,
    /// Each launch, run by itself; empty where the backend has no clock for them.
    pub launches: Vec<LaunchTime>,
}

impl<B: Timing + AllOps> Model<B> {
    /// Feeds each sequence a token, as [`Model::next_tokens`], and times the step that did.
    ///
    /// # Errors
    /// As [`Model::next_tokens`]; [`Error::Input`] for other than one token each.
    pub fn time_step(&mut self, batch: &mut [Feed<'_>]) -> Result<StepTimes, Error> {
        self.next_tokens(batch)?;
        // Some step again, behind the last one: what it writes there is written again before it is read.
        self.ahead = None;
        let recorded = self.decodes.get(&(batch.len(), Ids::Given));
        let recorded = recorded.ok_or_else(|| Error::input("batch", "must be of one token each"))?;
        let mut times = self.backend.time(recorded, TIMED)?;
        times.sort_by(f64::total_cmp);
        let device = times.get(times.len() / 2).copied().unwrap_or_default();
        Ok(StepTimes { device, launches: self.backend.launches(recorded)? })
    }
}
