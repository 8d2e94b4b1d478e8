//! What a bench found, row by row.

use super::roof::Roof;
use super::{Measured, Profile, Work};
use serde::{Deserialize, Serialize};

/// Where and with what a bench ran.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct About {
    /// Backend.
    pub backend: String,
    /// Device, as its driver names it.
    pub device: String,
    /// Driver and its version.
    pub driver: String,
    /// Commit or version of this crate.
    pub commit: String,
}

/// One op at one size. Times are microseconds a call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Backend.
    pub backend: String,
    /// Device, as its driver names it.
    pub device: String,
    /// Driver and its version.
    pub driver: String,
    /// Commit or version of this crate.
    pub commit: String,
    /// Op, as docs/vectors.md maps it.
    pub op: String,
    /// Case of it.
    pub case: String,
    /// Dimensions beside the tokens.
    pub shape: String,
    /// Tokens; sequences of a decode.
    pub tokens: usize,
    /// Variant that ran; of several kernels, each.
    pub variant: String,
    /// Sustained: the median over back-to-back replays.
    pub us_median: f64,
    /// The fifth part of replays was faster.
    pub us_p20: f64,
    /// The fifth part was slower.
    pub us_p80: f64,
    /// After a pause, before a power limit can bind.
    pub us_burst: f64,
    /// TFLOP/s.
    pub tflops: f64,
    /// GB/s, each operand counted once, of the experts those that are touched.
    pub gbps: f64,
    /// Tokens (sequences) a second.
    pub tokens_per_s: f64,
    /// The least time that the roof of this run allows.
    pub roof_us: f64,
    /// `roof_us` as a part of `us_median`, percent.
    pub roof_pct: f64,
    /// Relative error against the reference on some of the result's rows; null where a result is NaN.
    #[serde(deserialize_with = "null_is_nan")]
    pub rel_err: f64,
    /// Scratch of one call.
    #[serde(default)]
    pub scratch_bytes: usize,
    /// Operands and scratch of one call.
    #[serde(default)]
    pub peak_bytes: usize,
}

fn null_is_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

/// A row that was not measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Skipped {
    /// Op.
    pub op: String,
    /// Case.
    pub case: String,
    /// Tokens.
    pub tokens: usize,
    /// Why, in words.
    pub reason: String,
}

/// All rows of a run.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The device's roof, measured in this run.
    pub roof: Roof,
    /// In the order they ran.
    pub rows: Vec<Row>,
    /// Rows that the backend does not run.
    pub skipped: Vec<Skipped>,
    /// Rows whose result is wrong: op, case, tokens, error and what it may be.
    #[serde(default)]
    pub wrong: Vec<String>,
    /// Decode steps of a model, taken apart.
    #[serde(default)]
    pub profiles: Vec<Profile>,
}

impl Measured {
    pub(super) fn gbps(&self) -> f64 {
        self.work.bytes as f64 / self.times.median * 1e-3
    }

    pub(super) fn tflops(&self) -> f64 {
        self.work.flops as f64 / self.times.median * 1e-6
    }
}

impl Report {
    pub(super) fn push(&mut self, about: &About, op: &str, case: &str, tokens: usize, m: Measured) {
        let Work { flops, bytes } = m.work;
        let roof_us = self.roof.us(flops as f64, bytes as f64);
        if m.rel_err.is_nan() || m.rel_err > m.allowed {
            let problem = format!("relative error {:.2e}, allowed {:.2e}", m.rel_err, m.allowed);
            self.wrong.push(format!("{op} {case} {tokens} ({}): {problem}", m.variant));
        }
        self.rows.push(Row {
            backend: about.backend.clone(),
            device: about.device.clone(),
            driver: about.driver.clone(),
            commit: about.commit.clone(),
            op: op.into(),
            case: case.into(),
            us_median: m.times.median,
            us_p20: m.times.p20,
            us_p80: m.times.p80,
            us_burst: m.times.burst,
            tflops: m.tflops(),
            gbps: m.gbps(),
            tokens_per_s: tokens as f64 / m.times.median * 1e6,
            roof_us,
            roof_pct: 100.0 * roof_us / m.times.median,
            rel_err: m.rel_err,
            scratch_bytes: m.scratch_bytes,
            peak_bytes: m.peak_bytes,
            shape: m.shape,
            tokens,
            variant: m.variant,
        });
    }
}
