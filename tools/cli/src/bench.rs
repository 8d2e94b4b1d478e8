//! `dropless bench`: how fast every op runs, beside the roof of the device, goals and earlier runs.

mod compare;
mod goals;
mod html;
mod lines;

use crate::backends::{self, Choice};
use crate::output;
use anyhow::Context;
use clap::ValueEnum;
use dropless::cuda::Cuda;
use dropless::devices::discover_one;
use dropless::kernel::AllOps;
use dropless::testing::bench::{About, Options, Report, Select, run as measure};
use dropless::{Cpu, Timing};
use lines::Extra;
pub use lines::number;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// Backend to measure
    #[arg(long, default_value = "cuda")]
    backend: String,
    /// Ops to measure [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    op: Vec<String>,
    /// Cases whose name contains one of these [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    case: Vec<String>,
    /// Models whose dimensions to take: gpt-oss-20b, gpt-oss-120b, tiny [default: the first two]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    preset: Vec<String>,
    /// Tokens of a call (sequences of a decode) [default: each row's own]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    tokens: Vec<usize>,
    /// Force this variant of the kernels
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// MXFP4 weights in the checkpoint's own layout instead of the prepacked one
    #[arg(long)]
    openai_weights: bool,
    /// Shortest sustained measurement of a row
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    seconds: f64,
    /// Add goals and best peers from this file
    #[arg(long, value_name = "FILE")]
    goals: Option<PathBuf>,
    /// Add before and after, this file being the JSON of an earlier run
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also write the JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns, for people
    Table,
    /// A Markdown table
    Md,
    /// Comma-separated values
    Csv,
    /// One JSON document
    Json,
    /// One self-contained page with a roofline plot
    Html,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.seconds.is_finite() && args.seconds > 0.0, "--seconds must be above zero");
    anyhow::ensure!(!args.tokens.contains(&0), "--tokens must be above zero");
    // Before the minutes of measuring: files that cannot be read.
    let goals = args.goals.as_deref().map(goals::read).transpose()?;
    let before = args.compare.as_deref().map(compare::read).transpose()?;
    let report = match backends::one(&args.backend)? {
        Choice::Cpu => on(&Cpu::new(), args)?,
        Choice::Cuda => on(&Cuda::new(0)?, args)?,
    };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let extra = Extra { goals: goals.as_deref(), before: before.as_ref() };
    match args.format {
        Format::Table => output::table(&lines::table(&report, &extra))?,
        Format::Md => print(&lines::markdown(&lines::table(&report, &extra)))?,
        Format::Csv => print(&lines::csv(&lines::table(&report, &extra)))?,
        Format::Json => output::json(&report)?,
        Format::Html => print(&html::page(&report, &extra))?,
    }
    if args.format == Format::Table {
        print(&lines::notes(&report, &extra, &args.backend))?;
    }
    for wrong in &report.wrong {
        eprintln!("wrong: {wrong}");
    }
    Ok(if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on<B: Timing + AllOps>(backend: &B, args: &Args) -> anyhow::Result<Report> {
    let options = Options {
        select: Select {
            ops: args.op.clone(),
            presets: args.preset.clone(),
            cases: args.case.clone(),
            tokens: args.tokens.clone(),
        },
        variant: args.variant.clone(),
        seconds: args.seconds,
        openai_weights: args.openai_weights,
    };
    let bar = output::spinner();
    let report = measure(backend, &options, &about(&args.backend), |what| {
        bar.set_message(what.to_string());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    Ok(report)
}

/// What the first device of a backend says of itself, and what this build was made from.
fn about(backend: &str) -> About {
    let found = discover_one(backend).and_then(|d| d.devices.ok()).and_then(|devices| devices.into_iter().next());
    let (device, driver) = found.map(|d| (d.name, d.driver)).unwrap_or_default();
    let commit = option_env!("DROPLESS_COMMIT").unwrap_or(concat!("v", env!("CARGO_PKG_VERSION")));
    About { backend: backend.into(), device, driver, commit: commit.into() }
}

fn print(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}

/// A JSON file.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not {what}", path.display()))
}
