//! `dropless explain`: which kernel would run, why none of the others, and how fast it could be. Needs no device.

mod predict;
mod shape;
mod values;

use crate::bench::{number, read_json};
use crate::output::{self, Format};
use anyhow::{Context, bail, ensure};
use dropless::backend::DeviceInfo;
use dropless::cuda::Cuda;
use dropless::devices::BACKENDS;
use dropless::devices::known::{KNOWN, Known};
use dropless::op::Op;
use dropless::testing::bench::{Report, RowSpecs, Select, specs};
use dropless::{Backend, Cpu, Error, Explain, Explanation, Hint, Wgpu, each_spec};
use predict::{Asked, Prediction, predict};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `dropless bench --backend cuda --json FILE` wrote on an H200.
const MEASURED: &str = include_str!("../measured/h200.json");

#[derive(clap::Args)]
pub struct Args {
    /// Op: with --shape one of the library, else one of `dropless bench` [default: all of those]
    #[arg(long, value_delimiter = ',', value_name = "OP")]
    op: Vec<String>,
    /// Shape of the op: the fields of its spec by name, those left out as in gpt-oss
    #[arg(long, value_delimiter = ',', value_name = "NAME=VALUE,...", conflicts_with_all = ["case", "preset", "tokens"])]
    shape: Vec<String>,
    /// Bench cases whose name contains one of these
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    case: Vec<String>,
    /// Models whose dimensions to take, as for `dropless bench`
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    preset: Vec<String>,
    /// Tokens of a call (sequences of a decode)
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    tokens: Vec<usize>,
    /// Backend that would run it
    #[arg(long, default_value = "cuda")]
    backend: String,
    /// Device by name or architecture: h200, sm_90 [default: the one that is here, else h200]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Rows of a typical call, where that is less than the shape's
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Force this variant
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// MXFP4 weights of bench rows in the checkpoint's own layout instead of the prepacked one
    #[arg(long)]
    openai_weights: bool,
    /// Predict times from this file, the JSON of a run of `dropless bench` [default: rows measured on an H200]
    #[arg(long, value_name = "FILE")]
    measured: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// One kernel of a row.
#[derive(Serialize)]
struct Kernel {
    op: &'static str,
    /// Null where no variant may run.
    variant: Option<&'static str>,
    scratch_bytes: usize,
    rejected: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    variant: &'static str,
    reason: String,
}

/// The least time on a device.
#[derive(Serialize)]
struct Roof {
    device: &'static str,
    us: f64,
    /// `memory` or `arithmetic`.
    bound: &'static str,
    gbps: f64,
    tflops: f64,
    source: &'static str,
}

/// A row, explained.
#[derive(Serialize)]
struct Explained {
    op: String,
    case: String,
    tokens: Option<usize>,
    backend: &'static str,
    device: String,
    kernels: Vec<Kernel>,
    flops: u64,
    bytes: u64,
    /// On the device asked about; null where nothing is known of it.
    roof: Option<Roof>,
    /// On the others.
    roofs: Vec<Roof>,
    predicted_us: Option<f64>,
    /// What the prediction rests on, or why there is none.
    prediction: String,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let measured: Report = match &args.measured {
        Some(file) => read_json(file, "the JSON of a bench run")?,
        None => serde_json::from_str(MEASURED).context("the rows measured on an H200")?,
    };
    let rows = rows(args)?;
    ensure!(!rows.is_empty(), "no bench row has this op, case and number of tokens");
    let target = Target::new(args)?;
    let explained: Vec<Explained> =
        rows.iter().map(|row| explain(row, &target, args, &measured)).collect::<Result<_, _>>()?;
    match args.format {
        Format::Json => output::json(&explained)?,
        Format::Table => explained.iter().try_for_each(print)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked about: one shape, or rows of the bench.
fn rows(args: &Args) -> anyhow::Result<Vec<RowSpecs>> {
    if !args.shape.is_empty() {
        let [op] = &args.op[..] else {
            bail!("--shape describes one op: name it with --op, one of {}", shape::OPS.join(", "))
        };
        let spec = shape::spec(op, &args.shape)?;
        spec.check()?;
        let row = RowSpecs { op: spec.name(), case: String::new(), tokens: 0, specs: vec![spec], work: spec.work() };
        return Ok(vec![row]);
    }
    ensure!(!args.tokens.contains(&0), "--tokens must be above zero");
    let select = Select {
        ops: args.op.clone(),
        presets: args.preset.clone(),
        cases: args.case.clone(),
        tokens: args.tokens.clone(),
    };
    let only_shapes = args.op.iter().any(|op| shape::OPS.contains(&op.as_str()));
    let rows = specs(&select, args.openai_weights);
    if only_shapes { rows.context("with --shape it is an op of the library") } else { Ok(rows?) }
}

/// The device that is asked about.
enum Target {
    /// The backend on a device that need not be here.
    Named(&'static Known),
    Here(Cuda),
    Cpu(Cpu),
    Wgpu(Wgpu),
}

impl Target {
    fn new(args: &Args) -> anyhow::Result<Target> {
        let named = |name: &str| {
            let names: Vec<String> = KNOWN.iter().map(|k| format!("{} ({})", k.name, k.arch_name())).collect();
            Known::named(name).with_context(|| format!("there is no device {name:?}; known are {}", names.join(", ")))
        };
        match (args.backend.as_str(), &args.device) {
            ("cpu", None) => Ok(Target::Cpu(Cpu::new())),
            ("cpu", Some(_)) => bail!("--device names a GPU, the cpu backend runs on this machine"),
            ("cuda", Some(name)) => Ok(Target::Named(named(name)?)),
            ("cuda", None) => Ok(match Cuda::new(0) {
                Ok(cuda) => Target::Here(cuda),
                Err(_) => Target::Named(named("h200")?),
            }),
            ("wgpu", None) => Ok(Target::Wgpu(Wgpu::new(0)?)),
            ("wgpu", Some(_)) => {
                bail!("--device names a GPU of cuda's, the wgpu backend answers for the adapter that is here")
            }
            (other, _) if BACKENDS.contains(&other) => bail!("this version ships no kernels for {other}"),
            (other, _) => bail!("there is no backend {other:?}; there are {}", BACKENDS.join(", ")),
        }
    }

    fn backend(&self) -> &'static str {
        match self {
            Target::Cpu(_) => Cpu::NAME,
            Target::Wgpu(_) => Wgpu::NAME,
            _ => Cuda::NAME,
        }
    }

    fn device(&self) -> DeviceInfo {
        match self {
            Target::Named(known) => known.info(),
            Target::Here(cuda) => cuda.device().clone(),
            Target::Cpu(cpu) => cpu.device().clone(),
            Target::Wgpu(wgpu) => wgpu.device().clone(),
        }
    }

    fn explain<O: Op>(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error>
    where
        Cpu: Explain<O>,
        Cuda: Explain<O>,
        Wgpu: Explain<O>,
    {
        match self {
            Target::Named(known) => Cuda::explain(op, &known.info(), hint),
            Target::Here(cuda) => cuda.explain_here(op, hint),
            Target::Cpu(cpu) => cpu.explain_here(op, hint),
            Target::Wgpu(wgpu) => wgpu.explain_here(op, hint),
        }
    }
}

fn explain(row: &RowSpecs, target: &Target, args: &Args, measured: &Report) -> anyhow::Result<Explained> {
    let hint = Hint { rows: args.rows, variant: args.variant.as_deref() };
    let mut kernels = Vec::new();
    for spec in &row.specs {
        let told = each_spec!(spec, op => target.explain(op, hint))?;
        let rejected = told.rejected.into_iter().map(|r| Refused { variant: r.variant, reason: r.reason }).collect();
        let Explanation { chosen: variant, scratch_bytes, .. } = told;
        kernels.push(Kernel { op: spec.name(), variant, scratch_bytes, rejected });
    }
    let device = target.device();
    let known = match target {
        Target::Named(known) => Some(*known),
        _ => Known::of(&device),
    };
    let prediction = predicted(row, &kernels, known, measured);
    let (predicted_us, prediction) = match prediction {
        Ok(p) => (Some(p.us), p.from),
        Err(why) => (None, why.into()),
    };
    Ok(Explained {
        op: row.op.into(),
        case: row.case.clone(),
        tokens: (row.tokens > 0).then_some(row.tokens),
        backend: target.backend(),
        device: device.name,
        kernels,
        flops: row.work.flops,
        bytes: row.work.bytes,
        roof: known.map(|k| roof(k, row)),
        roofs: KNOWN.iter().filter(|k| known.is_none_or(|n| n.name != k.name)).map(|k| self::roof(k, row)).collect(),
        predicted_us,
        prediction,
    })
}

fn roof(known: &Known, row: &RowSpecs) -> Roof {
    let (us, memory) = known.roof_us(row.work.flops as f64, row.work.bytes as f64);
    let Known { name: device, gbps, tflops, source, .. } = *known;
    Roof { device, us, bound: if memory { "memory" } else { "arithmetic" }, gbps, tflops, source }
}

/// From measured rows of the same kernels, else the sum of what each kernel takes; or why there is no prediction.
fn predicted(
    row: &RowSpecs,
    kernels: &[Kernel],
    known: Option<&Known>,
    measured: &Report,
) -> Result<Prediction, &'static str> {
    let device = known.ok_or("no rates are known of this device")?;
    let variants: Option<Vec<&str>> = kernels.iter().map(|k| k.variant).collect();
    let variants = variants.ok_or("no variant may run")?;
    let whole = Asked { op: row.op, case: &row.case, variant: &variants.join(" + "), work: row.work, device };
    match predict(measured, &whole) {
        Err(_) if variants.len() > 1 => {
            let mut us = 0.0;
            for (spec, variant) in row.specs.iter().zip(variants) {
                us += predict(measured, &Asked { op: spec.name(), case: "", variant, work: spec.work(), device })?.us;
            }
            Ok(Prediction { us, from: "the sum of its kernels".into() })
        }
        one => one,
    }
}

fn print(e: &Explained) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let tokens = e.tokens.map_or(String::new(), |t| format!(", {t} tokens"));
    let case = if e.case.is_empty() { String::new() } else { format!(" {}", e.case) };
    writeln!(out, "{}{case}{tokens}, {} on {}", e.op, e.backend, e.device)?;
    for k in &e.kernels {
        let scratch =
            if k.scratch_bytes > 0 { format!(", {} of scratch", bytes(k.scratch_bytes as f64)) } else { String::new() };
        writeln!(out, "  {}: {}{scratch}", k.op, k.variant.unwrap_or("no variant may run"))?;
        for r in &k.rejected {
            writeln!(out, "    not {}: {}", r.variant, r.reason)?;
        }
    }
    writeln!(out, "  work: {} GFLOP, {}", number(e.flops as f64 * 1e-9), bytes(e.bytes as f64))?;
    if let Some(Roof { us, bound, gbps, tflops, source, .. }) = &e.roof {
        writeln!(out, "  roof: {} us, {bound} binds ({gbps} GB/s and {tflops} TFLOP/s, {source})", number(*us))?;
    }
    let predicted = e.predicted_us.map_or("-".into(), |us| format!("{} us", number(us)));
    writeln!(out, "  predicted: {predicted} ({})", e.prediction)?;
    let roofs: Vec<String> = e.roofs.iter().map(|r| format!("{} {} us", r.device, number(r.us))).collect();
    writeln!(out, "  roof elsewhere: {}", roofs.join(", "))?;
    Ok(())
}

fn bytes(n: f64) -> String {
    match n {
        1e9.. => format!("{} GB", number(n * 1e-9)),
        1e6.. => format!("{} MB", number(n * 1e-6)),
        1e3.. => format!("{} kB", number(n * 1e-3)),
        _ => format!("{n} bytes"),
    }
}
