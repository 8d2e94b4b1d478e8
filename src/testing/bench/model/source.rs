//! The weights of a measured model.

use super::Weights;
use crate::backend::Timing;
use crate::error::Error;
use crate::gpt_oss::config::PRESETS;
use crate::gpt_oss::{Checkpoint, Config, Layout, Model, Options, Progress, RandomWeights};
use crate::kernel::AllOps;
use std::sync::Arc;

/// Opened weights.
pub(super) enum Source {
    Checkpoint(Checkpoint),
    Random(RandomWeights),
}

impl Source {
    /// Random experts in `layout` where their dimensions allow it.
    pub(super) fn open(weights: &Weights, layout: Layout) -> Result<Self, Error> {
        match weights {
            Weights::Checkpoint(dir) => Ok(Source::Checkpoint(Checkpoint::open(dir)?)),
            Weights::Random(preset) => {
                let config = Config::preset(preset)?;
                let layout = if config.hidden % 64 + config.intermediate % 64 > 0 { Layout::Hf } else { layout };
                Ok(Source::Random(RandomWeights::new(config, layout, 0)?))
            }
        }
    }

    pub(super) fn config(&self) -> &Config {
        match self {
            Source::Checkpoint(checkpoint) => checkpoint.config(),
            Source::Random(weights) => weights.config(),
        }
    }

    /// As goals call it: 20b, 120b; else the folder's name.
    pub(super) fn name(&self, weights: &Weights) -> String {
        let same = |preset: &str| {
            Config::preset(preset).is_ok_and(|known| {
                let of = |c: &Config| (c.layers, c.hidden, c.intermediate, c.experts, c.vocab);
                of(&known) == of(self.config())
            })
        };
        match (PRESETS.into_iter().find(|preset| same(preset)), weights) {
            (Some(preset), _) => preset.trim_start_matches("gpt-oss-").to_string(),
            (None, Weights::Random(preset)) => preset.clone(),
            (None, Weights::Checkpoint(dir)) => {
                dir.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    pub(super) fn load<B: Timing + AllOps>(
        &self,
        backend: &Arc<B>,
        options: &Options,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Model<B>, Error> {
        let told = &mut |p: Progress| progress(&format!("model: loading layer {} of {}", p.done, p.total));
        match self {
            Source::Checkpoint(checkpoint) => Model::load(backend.clone(), checkpoint, options, told),
            Source::Random(weights) => Model::random(backend.clone(), weights, options, told),
        }
    }
}
