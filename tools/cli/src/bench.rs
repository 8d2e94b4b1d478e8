//! `dropless bench`: how fast every op runs, beside the roof of the device, goals and earlier runs.

mod compare;
mod goals;
mod html;
mod lines;
mod profile;

use crate::backends::{self, Choice, CudaArgs};
use crate::output;
use crate::weights::MoeWeights;
use anyhow::Context;
use clap::ValueEnum;
use dropless::devices::discover_one;
use dropless::kernel::AllOps;
use dropless::testing::bench::{About, ModelOptions, Options, Report, Select, Skew, Weights, run as measure};
use dropless::{Cpu, DType, Hip, Timing, Wgpu};
use lines::Extra;
pub use lines::number;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    /// Backend to measure
    #[arg(long, default_value = "cuda")]
    backend: String,
    #[command(flatten)]
    cuda: CudaArgs,
    /// Ops to measure [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    op: Vec<String>,
    /// Cases whose name contains one of these [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    case: Vec<String>,
    /// Models whose dimensions to take: gpt-oss-20b, gpt-oss-120b, tiny [default: the first two]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    preset: Vec<String>,
    /// Measure a whole model, and of the ops those that --op names: the checkpoint in this folder
    #[arg(long, value_name = "DIR", conflicts_with = "synth")]
    model: Option<PathBuf>,
    /// The same with random weights of this preset, made on the way to the device
    #[arg(long, value_name = "PRESET")]
    synth: Option<String>,
    /// Sequences of a model's decode [default: 1, 8, 32, 64]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    batch: Vec<usize>,
    /// Tokens that each of them has [default: 512, and for one sequence 8192 and 32768 too]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    context: Vec<usize>,
    /// Type of a model's KV cache: f32, bf16, f16 or f8e4m3 [default: that of its activations]
    #[arg(long, value_name = "TYPE", value_parser = backends::cache_type)]
    kv: Option<DType>,
    /// Also say where a model's decode step spends its time, launch by launch
    #[arg(long)]
    profile: bool,
    /// Tokens of a call (sequences of a decode; of a model the prompt) [default: each row's own]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    tokens: Vec<usize>,
    /// How tokens choose experts
    #[arg(long, value_enum, default_value_t = Routing::Uniform)]
    routing: Routing,
    /// Force this variant of the kernels; of a layer's those that it may run
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    #[command(flatten)]
    weights: MoeWeights,
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
enum Routing {
    /// Each expert equally often
    Uniform,
    /// One expert is among those of every other token
    Half,
    /// All tokens choose the same experts
    Same,
}

impl From<Routing> for Skew {
    fn from(routing: Routing) -> Skew {
        match routing {
            Routing::Uniform => Skew::Uniform,
            Routing::Half => Skew::Half,
            Routing::Same => Skew::Same,
        }
    }
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
    for (name, list) in [("--tokens", &args.tokens), ("--batch", &args.batch), ("--context", &args.context)] {
        anyhow::ensure!(!list.contains(&0), "{name} must be above zero");
    }
    // Before the minutes of measuring: files that cannot be read.
    let goals = args.goals.as_deref().map(goals::read).transpose()?;
    let before = args.compare.as_deref().map(compare::read).transpose()?;
    let options = options(args)?;
    let choice = backends::one(&args.backend)?;
    args.cuda.check(&[choice])?;
    let report = match choice {
        Choice::Cpu => on(&Arc::new(Cpu::new()), args, &options)?,
        Choice::Hip => on(&Arc::new(Hip::new(0)?), args, &options)?,
        Choice::Wgpu => on(&Arc::new(Wgpu::new(0)?), args, &options)?,
        Choice::Cuda => on(&Arc::new(args.cuda.open()?), args, &options)?,
    };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let goals = goals.as_deref();
    let missing = goals::unanswered(goals.unwrap_or_default(), &report, &args.backend, &options);
    let extra = Extra { goals, missing, before: before.as_ref(), flags: &flags(args, &options) };
    match args.format {
        Format::Table => {
            output::table(&lines::table(&report, &extra))?;
            for profile in &report.profiles {
                println!("\n{}", profile::heading(profile));
                output::table(&profile::table(profile))?;
            }
        }
        Format::Md => print(&lines::markdown(&lines::table(&report, &extra)))?,
        Format::Csv => print(&lines::csv(&lines::table(&report, &extra)))?,
        Format::Json => output::json(&report)?,
        Format::Html => print(&html::page(&report, &extra))?,
    }
    if args.format == Format::Table {
        print(&lines::notes(&report, &extra))?;
    }
    for wrong in &report.wrong {
        eprintln!("wrong: {wrong}");
    }
    Ok(if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The name of the rows of a whole model.
const MODEL: &str = "model";

/// The rows of a model that are asked for. Prompts, or batches and contexts, leave the others out.
fn model(args: &Args) -> Option<ModelOptions> {
    let weights = match (&args.model, &args.synth) {
        (Some(dir), _) => Weights::Checkpoint(dir.clone()),
        (None, Some(preset)) => Weights::Random(preset.clone()),
        (None, None) if args.op.iter().any(|op| op == MODEL) => {
            Weights::Random(args.preset.first().cloned().unwrap_or_else(|| "gpt-oss-20b".into()))
        }
        (None, None) => return None,
    };
    let usual = ModelOptions { kv: args.kv, profile: args.profile, ..ModelOptions::new(weights) };
    let or = |given: &[usize], usual| if given.is_empty() { vec![usual] } else { given.to_vec() };
    let (batches, contexts) = (or(&args.batch, 1), or(&args.context, 512));
    let product = batches.iter().flat_map(|s| contexts.iter().map(|c| (*s, *c)));
    let (some_prefill, some_decode) = (!args.tokens.is_empty(), !args.batch.is_empty() || !args.context.is_empty());
    Some(match (some_prefill, some_decode) {
        (false, false) => usual,
        (true, false) => ModelOptions { prefill: args.tokens.clone(), decode: Vec::new(), ..usual },
        (false, true) => ModelOptions { prefill: Vec::new(), decode: product.collect(), ..usual },
        (true, true) => ModelOptions { prefill: args.tokens.clone(), decode: product.collect(), ..usual },
    })
}

/// What to measure.
fn options(args: &Args) -> anyhow::Result<Options> {
    let model = model(args);
    anyhow::ensure!(
        model.is_none() || args.variant.is_none(),
        "--variant is for rows of ops: a whole model chooses for each of its ops"
    );
    anyhow::ensure!(model.is_some() || !args.profile, "--profile is for the rows of a model: --model or --synth");
    anyhow::ensure!(model.is_some() || args.kv.is_none(), "--kv is for the rows of a model: --model or --synth");
    // A model alone, unless ops are named.
    let ops = if model.is_some() && args.op.is_empty() { vec![MODEL.into()] } else { args.op.clone() };
    let select = Select {
        ops,
        presets: args.preset.clone(),
        cases: args.case.clone(),
        tokens: args.tokens.clone(),
        routing: args.routing.into(),
    };
    let (variant, openai_weights) = (args.variant.clone(), args.weights.openai(&args.backend));
    Ok(Options { select, variant, seconds: args.seconds, openai_weights, model })
}

/// What of the command line the command that repeats a row has too.
fn flags(args: &Args, options: &Options) -> Vec<String> {
    let mut flags = Vec::new();
    match options.model.as_ref().map(|m| &m.weights) {
        Some(Weights::Checkpoint(dir)) => flags.push(format!("--model {}", dir.display())),
        Some(Weights::Random(preset)) => flags.push(format!("--synth {preset}")),
        None => {}
    }
    flags.extend(args.kv.map(|kv| format!("--kv {kv}")));
    flags.extend(args.cuda.capability.map(|capability| format!("--capability {capability}")));
    flags.extend(args.variant.as_ref().map(|name| format!("--variant {name}")));
    if args.routing != Routing::Uniform {
        flags.extend(args.routing.to_possible_value().map(|value| format!("--routing {}", value.get_name())));
    }
    flags.extend(args.weights.flag());
    flags
}

fn on<B: Timing + AllOps>(backend: &Arc<B>, args: &Args, options: &Options) -> anyhow::Result<Report> {
    let bar = output::spinner();
    let report = measure(backend, options, &about(args), |what| {
        bar.set_message(what.to_string());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    Ok(report)
}

/// What the first device of a backend says of itself, and the commit that was built (build.rs), or the version where nothing tells.
fn about(args: &Args) -> About {
    let found = discover_one(&args.backend).and_then(|d| d.devices.ok()).and_then(|devices| devices.into_iter().next());
    let (device, driver) = found.map(|d| (d.name, d.driver)).unwrap_or_default();
    let commit = option_env!("DROPLESS_COMMIT").unwrap_or(concat!("v", env!("CARGO_PKG_VERSION")));
    About { backend: args.backend.clone(), device: args.cuda.label(&device), driver, commit: commit.into() }
}

fn print(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}

/// A JSON file.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not {what}", path.display()))
}
