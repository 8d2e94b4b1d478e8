//! A whole model: tokens a second of a prompt, and of a decode step by greedy choice. Times are the caller's: from the call
//! to the answer on the host.

mod check;
mod profile;
mod source;
mod work;

use super::measure::{PAUSE, Times};
use super::stats::{median, quantile};
use super::{Measured, Runner};
use crate::backend::{Arch, Backend, Timing};
use crate::dtype::DType;
use crate::error::Error;
use crate::gpt_oss::{Feed, Forward, Layout, Model, Options};
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::Work;
use crate::testing::random::Random;
pub use profile::{Launches, Profile};
use source::Source;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use work::Geometry;

/// Steps of a decode row, at least and at most: the context grows by as many.
const STEPS: std::ops::Range<usize> = 8..120;
/// Runs of a prompt, at least.
const PROMPTS: usize = 3;
/// Most tokens in one call of the layers.
const MAX_CHUNK: usize = 8192;

/// Which weights.
#[derive(Clone, PartialEq, Debug)]
pub enum Weights {
    /// A checkpoint in this folder.
    Checkpoint(PathBuf),
    /// Random ones of this preset, made on the way to the device.
    Random(String),
}

/// Which rows of a model.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelOptions {
    /// Weights.
    pub weights: Weights,
    /// Lengths of prompts.
    pub prefill: Vec<usize>,
    /// Sequences, and how long they are.
    pub decode: Vec<(usize, usize)>,
    /// Type of the KV cache, where it is not that of activations.
    pub kv: Option<DType>,
    /// Take decode steps apart.
    pub profile: bool,
}

impl ModelOptions {
    /// The usual rows.
    pub fn new(weights: Weights) -> Self {
        let decode = vec![(1, 512), (8, 512), (32, 512), (64, 512), (1, 8192), (1, 32768)];
        ModelOptions { weights, prefill: vec![512, 2048, 8192], decode, kv: None, profile: false }
    }
}

/// A row: its case, its tokens or sequences, what was found.
pub(super) type Row = (String, usize, Measured);

/// What rows have in common.
struct Bench<'a, B: Timing + AllOps> {
    backend: &'a Arc<B>,
    seconds: f64,
    random: Random,
    name: String,
    geometry: Geometry,
    kv: Option<DType>,
    rel_err: f64,
    profiles: Option<Vec<Profile>>,
}

impl<B: Timing + AllOps> Runner<'_, B> {
    /// Measures the rows of a model whose case contains one of the selected names.
    pub(super) fn model(
        &self,
        backend: &Arc<B>,
        options: &ModelOptions,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Row>, Vec<Profile>), Error> {
        let wanted = |case: &str| {
            let names = &self.options.select.cases;
            names.is_empty() || names.iter().any(|s| case.contains(s.as_str()))
        };
        let layout = if self.options.openai_weights { Layout::Hf } else { Layout::Prepacked };
        let source = Source::open(&options.weights, layout)?;
        let cache = options.kv.map_or(String::new(), |kv| format!(" kv {kv}"));
        let name = source.name(&options.weights) + &cache;
        let (prefill_case, decode_case) =
            (format!("{name} prefill"), |context: usize| format!("{name} decode ctx{context}"));
        let prefill: Vec<usize> = options.prefill.iter().copied().filter(|_| wanted(&prefill_case)).collect();
        let (single, many): (Vec<_>, Vec<_>) =
            options.decode.iter().copied().filter(|(_, c)| wanted(&decode_case(*c))).partition(|(s, _)| *s == 1);
        if prefill.is_empty() && single.is_empty() && many.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        progress("model: two layers beside the reference");
        let mut bench = Bench {
            backend,
            seconds: self.options.seconds,
            random: Random::named("dropless bench model"),
            geometry: Geometry::new(source.config(), options.kv.unwrap_or(DType::Bf16)),
            kv: options.kv,
            rel_err: check::against_reference(backend, source.config(), options.kv)?,
            name: name.clone(),
            profiles: options.profile.then(Vec::new),
        };
        let longest = prefill.iter().copied().chain(single.iter().map(|(_, c)| c + STEPS.end + 3)).max();
        let options = bench.options(longest.unwrap_or(1), 1);
        let mut model = source.load(backend, &options, progress)?;
        let mut rows = Vec::new();
        for tokens in prefill {
            progress(&format!("model {prefill_case} {tokens}"));
            rows.push(bench.prefill(&mut model, tokens)?);
        }
        for (sequences, context) in &single {
            progress(&format!("model {} {sequences}", decode_case(*context)));
            rows.push(bench.decode(&mut model, *sequences, *context)?);
        }
        for (sequences, context) in many {
            progress(&format!("model {} {sequences}", decode_case(context)));
            model = model.with_options(&bench.options(context + STEPS.end + 3, sequences))?;
            rows.push(bench.decode(&mut model, sequences, context)?);
        }
        Ok((rows, bench.profiles.unwrap_or_default()))
    }
}

impl<B: Timing + AllOps> Bench<'_, B> {
    fn options(&self, max_context: usize, max_sequences: usize) -> Options {
        let activations = activations(&**self.backend);
        Options { activations, kv: self.kv, max_context, max_chunk: MAX_CHUNK, max_sequences, published_experts: false }
    }

    fn tokens(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.random.below(self.geometry.vocab) as u32).collect()
    }

    fn prefill(&mut self, model: &mut Model<B>, tokens: usize) -> Result<Row, Error> {
        let (mut times, mut sound) = (Vec::new(), true);
        // The first run plans and loads.
        let mut run = |bench: &mut Self| {
            let (ids, mut session) = (bench.tokens(tokens), model.session()?);
            let started = Instant::now();
            let logits = model.forward(&mut session, &ids, Forward::LAST)?;
            let seconds = started.elapsed().as_secs_f64();
            sound &= finite(&logits);
            Ok::<f64, Error>(seconds)
        };
        run(self)?;
        while times.len() < PROMPTS || times.iter().sum::<f64>() < self.seconds {
            times.push(run(self)?);
        }
        std::thread::sleep(PAUSE);
        let burst = run(self)?;
        let measured =
            self.measured(&times, burst, sound, self.geometry.prefill(tokens), format!("{tokens} new tokens"));
        Ok((format!("{} prefill", self.name), tokens, measured))
    }

    fn decode(&mut self, model: &mut Model<B>, sequences: usize, context: usize) -> Result<Row, Error> {
        let mut sessions = (0..sequences).map(|_| model.session()).collect::<Result<Vec<_>, _>>()?;
        let prompts: Vec<Vec<u32>> = sessions.iter().map(|_| self.tokens(context)).collect();
        let mut feeds: Vec<Feed<'_>> =
            sessions.iter_mut().zip(&prompts).map(|(session, tokens)| Feed { session, tokens }).collect();
        let logits = model.forward_batch(&mut feeds, Forward::LAST)?;
        let sound = finite(&logits);
        let mut next = self.tokens(sequences);
        let mut step = || {
            let tokens = next.chunks(1);
            let mut feeds: Vec<Feed<'_>> =
                sessions.iter_mut().zip(tokens).map(|(session, tokens)| Feed { session, tokens }).collect();
            let started = Instant::now();
            let greedy = model.next_tokens(&mut feeds)?;
            let seconds = started.elapsed().as_secs_f64();
            next = greedy;
            Ok::<f64, Error>(seconds)
        };
        // The first step records.
        step()?;
        let mut times = Vec::new();
        while times.len() < STEPS.start || (times.len() < STEPS.end && times.iter().sum::<f64>() < self.seconds) {
            times.push(step()?);
        }
        std::thread::sleep(PAUSE);
        let burst = step()?;
        let shape = format!("{sequences} x {context} keys");
        let measured = self.measured(&times, burst, sound, self.geometry.decode(sequences, context), shape);
        let case = format!("{} decode ctx{context}", self.name);
        if let Some(profiles) = &mut self.profiles {
            let mut feeds: Vec<Feed<'_>> =
                sessions.iter_mut().zip(next.chunks(1)).map(|(session, tokens)| Feed { session, tokens }).collect();
            let times = model.time_step(&mut feeds)?;
            profiles.push(Profile::new(case.clone(), sequences, measured.times.median, &times));
        }
        Ok((case, sequences, measured))
    }

    fn measured(&self, times: &[f64], burst: f64, sound: bool, work: Work, shape: String) -> Measured {
        let us = |seconds: f64| seconds * 1e6;
        let times = Times {
            median: us(median(times)),
            p20: us(quantile(times, 0.2)),
            p80: us(quantile(times, 0.8)),
            burst: us(burst),
        };
        Measured {
            shape,
            variant: "whole model".into(),
            times,
            work,
            rel_err: if sound { self.rel_err } else { f64::NAN },
            allowed: check::allowed(self.kv),
            scratch_bytes: 0,
            peak_bytes: self.geometry.bytes,
        }
    }
}

/// What kernels are made for; the reference has f32.
fn activations<B: Backend>(backend: &B) -> DType {
    if backend.device().arch == Arch::Cpu { DType::F32 } else { DType::Bf16 }
}

fn finite(logits: &HostTensor) -> bool {
    logits.to_f64().iter().all(|l| l.is_finite())
}
