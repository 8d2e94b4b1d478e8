//! Times of the ops that matter, on operands as they come: random, near-uniformly routed, and not in the cache.
//!
//! A row is an op at one size. Its operands exist several times, so that the sets together exceed the last-level cache three
//! times; one call a set is recorded and replayed back to back ([`Timing`]). Each row's result is compared with the
//! reference on a few of its rows. The roof of the device is measured in the same run: the best rate at which any of these
//! rows moved bytes, and the best rate of a dense bf16 GEMM. Rows of a whole model are timed by the caller's clock.

mod attention;
mod catalog;
mod check;
mod dense;
mod elsewhere;
mod experts;
mod forced;
mod measure;
mod model;
mod moe;
mod operand;
mod pattern;
mod ragged;
mod report;
mod roof;
mod routing;
mod specs;
pub mod stats;
mod tune;

pub use catalog::{PRESETS, Preset, Select, Unknown};
pub use elsewhere::{Calls, timed_elsewhere};
pub use model::{Launches, ModelOptions, Profile, Weights};
pub use report::{About, Report, Row, Skipped};
pub use roof::{Rate, Roof};
pub use routing::Skew;
pub use specs::{RowSpecs, specs};
pub use tune::{Tried, tune, tuned_rows};

use crate::backend::{Hint, Timing};
use crate::dtype::DType;
use crate::error::Error;
use crate::kernel::AllOps;
use crate::op::Work;
use crate::testing::random::Random;
use catalog::{Case, What};
use experts::Experts;
use measure::{Pace, Times};
use moe::Part;
use operand::{Held, Slot};
use pattern::Pattern;
use std::sync::Arc;

/// How to measure.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Which rows.
    pub select: Select,
    /// Force this variant of the op's kernel; of a layer's kernels those that it may run.
    pub variant: Option<String>,
    /// Shortest sustained measurement of a row, seconds.
    pub seconds: f64,
    /// MXFP4 weights in the checkpoint's own layout instead of the prepacked one.
    pub openai_weights: bool,
    /// Rows of a whole model, after those of the ops.
    pub model: Option<ModelOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Options { select: Select::default(), variant: None, seconds: 0.5, openai_weights: false, model: None }
    }
}

/// What was measured of one row.
struct Measured {
    shape: String,
    variant: String,
    times: Times,
    work: Work,
    rel_err: f64,
    allowed: f64,
    scratch_bytes: usize,
    peak_bytes: usize,
}

/// Measures rows, one after the other.
struct Runner<'a, B: Timing> {
    backend: &'a B,
    options: &'a Options,
    random: Random,
    kept: Option<Arc<Experts<B>>>,
    /// What calls only read, for the next row that has the same, where anything is held.
    held: Option<Held<B>>,
    pace: Pace,
    /// Is the result looked at?
    looks: bool,
    /// Who takes the times, where it is not [`measure`].
    clock: Option<&'a elsewhere::Clock<'a>>,
}

/// Most sets of operands.
const MAX_SETS: usize = 1024;

impl<B: Timing> Runner<'_, B> {
    /// Sets of which each touches so many bytes.
    fn sets(&self, bytes: usize) -> usize {
        (3 * self.backend.cache_bytes()).div_ceil(bytes.max(1)).clamp(1, MAX_SETS)
    }

    fn hint(&self) -> Hint<'_> {
        Hint { variant: self.options.variant.as_deref(), ..Hint::default() }
    }

    fn measure(
        &self,
        sets: usize,
        call: impl Fn(usize, &mut B::Queue<'_>) -> Result<(), Error> + Sync,
    ) -> Result<Times, Error> {
        match self.clock {
            Some(clock) => elsewhere::by(self.backend, sets, clock, call),
            None => measure::measure(self.backend, sets, self.options.seconds, self.pace, call),
        }
    }

    /// An operand of random bf16 that calls only read: the one of this name that is held, where it has this form, or a new one.
    fn input(
        &mut self,
        name: &'static str,
        shape: &[usize],
        copies: usize,
        deviation: f64,
    ) -> Result<(&'static str, Arc<Slot<B>>), Error> {
        if let Some(slot) = self.held.as_mut().and_then(|held| held.take(name, DType::Bf16, shape, copies)) {
            return Ok((name, slot));
        }
        let pattern = Pattern::normals(DType::Bf16, deviation, &mut self.random)?;
        let slot = Slot::filled(self.backend, DType::Bf16, shape, copies, &pattern)?;
        if let Some(held) = &mut self.held {
            held.put(name, &slot);
        }
        Ok((name, slot))
    }

    /// An operand that calls write: not a number before, where the result is looked at.
    fn output(&self, shape: &[usize], copies: usize) -> Result<Arc<Slot<B>>, Error> {
        match self.looks {
            true => Slot::filled(self.backend, DType::Bf16, shape, copies, &Pattern::nan()),
            false => Slot::empty(self.backend, DType::Bf16, shape, copies),
        }
    }

    /// The error of a result, 0 where nobody looks at it.
    fn checked(&self, error: impl FnOnce() -> Result<f64, Error>) -> Result<f64, Error> {
        if self.looks { error() } else { Ok(0.0) }
    }
}

impl<B: Timing + AllOps> Runner<'_, B> {
    fn case(&mut self, what: What, tokens: usize) -> Result<Measured, Error> {
        match what {
            What::Mlp1(preset) => self.moe(preset, Part::Mlp1, tokens),
            What::Mlp2(preset) => self.moe(preset, Part::Mlp2, tokens),
            What::Block(preset) => self.moe(preset, Part::Block, tokens),
            What::Bf16(preset) => self.bf16(preset, tokens),
            What::Dispatch(preset) => self.dispatch(preset, tokens),
            What::Linear { n, k } => self.linear(tokens, n, k),
            What::Prefill { window, head_dim, keys, page, cache } => {
                self.prefill(tokens, keys.unwrap_or(tokens), window, head_dim, page, cache)
            }
            What::Decode { window, kv, page, cache } => self.decode(tokens, window, kv, page, cache),
            What::Ragged { most } => self.ragged(tokens, most),
        }
    }
}

/// Measures every row that is asked for, and the device's roof. `progress` is told what comes next.
///
/// # Errors
/// [`Error::Input`] for a name that nothing has, [`Error::Device`] from the driver. A row that the backend does not run is
/// listed as skipped.
pub fn run<B: Timing + AllOps>(
    backend: &Arc<B>,
    options: &Options,
    about: &About,
    mut progress: impl FnMut(&str),
) -> Result<Report, Error> {
    let cases = catalog::cases(&options.select).map_err(|e| Error::input("bench", e))?;
    let random = Random::named("dropless bench");
    let (pace, looks) = (Pace::Rested, true);
    let mut runner = Runner { backend: &**backend, options, random, kept: None, held: None, pace, looks, clock: None };
    let mut report = Report::default();
    let mut measured = Vec::new();
    for Case { op, case, tokens, what } in &cases {
        if !what.has_experts() {
            runner.kept = None;
        }
        for &tokens in tokens {
            progress(&format!("{op} {case} {tokens}"));
            match runner.case(*what, tokens) {
                Ok(m) => measured.push((*op, case.clone(), tokens, m)),
                Err(Error::Unsupported { reason, .. }) => {
                    report.skipped.push(Skipped { op: (*op).into(), case: case.clone(), tokens, reason });
                }
                Err(e) => return Err(e),
            }
        }
    }
    runner.kept = None;
    if let Some(model) = &options.model {
        let (rows, profiles) = runner.model(backend, model, &mut progress)?;
        report.profiles = profiles;
        measured.extend(rows.into_iter().map(|(case, tokens, m)| ("model", case, tokens, m)));
    }
    progress("the roof of the device");
    // Whatever is forced, the roof is the device's.
    let chosen = Options { variant: None, ..options.clone() };
    report.roof = roof::roof(&mut Runner { options: &chosen, ..runner }, &measured)?;
    for (op, case, tokens, m) in measured {
        report.push(about, op, &case, tokens, m);
    }
    Ok(report)
}
