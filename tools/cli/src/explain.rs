//! `dropless explain`: which kernel would run, why none of the others, and how fast it could be. Needs no device.

mod predict;
mod print;
mod shape;
mod target;
mod values;

use crate::backends::CudaArgs;
use crate::bench::read_json;
use crate::output::{self, Format};
use crate::weights::MoeWeights;
use anyhow::{Context, bail, ensure};
use dropless::devices::known::{KNOWN, Known};
use dropless::hip::Hip;
use dropless::testing::bench::{Report, RowSpecs, Select, specs};
use dropless::{Explanation, Hint, each_spec};
use predict::{Asked, Prediction, predict};
use print::print;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use target::Target;

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
    /// Device by name or architecture: h200, sm_90, mi300x [default: the one that is here, else h200 or mi300x]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    cuda: CudaArgs,
    /// Rows of a typical call, where that is less than the shape's
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Force this variant
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    #[command(flatten)]
    weights: MoeWeights,
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
        ..Select::default()
    };
    let only_shapes = args.op.iter().any(|op| shape::OPS.contains(&op.as_str()));
    let rows = specs(&select, args.weights.openai(&args.backend));
    if only_shapes { rows.context("with --shape it is an op of the library") } else { Ok(rows?) }
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
    let known = Known::of(&device);
    let prediction = match target {
        Target::Hip(_) => estimated(row, &kernels, known),
        _ => predicted(row, &kernels, known, measured),
    };
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

/// From the compiled code of each kernel; of one without a main loop the roof.
fn estimated(row: &RowSpecs, kernels: &[Kernel], known: Option<&Known>) -> Result<Prediction, &'static str> {
    let device = known.ok_or("no rates are known of this device")?;
    let (mut us, mut from) = (0.0, vec!["estimated, not measured".to_string()]);
    for (spec, kernel) in row.specs.iter().zip(kernels) {
        let variant = kernel.variant.ok_or("no variant may run")?;
        let work = spec.work();
        let Some(e) = Hip::estimate(spec, variant, device) else {
            us += device.roof_us(work.flops as f64, work.bytes as f64).0;
            from.push(format!("{} at its roof", spec.name()));
            continue;
        };
        us += e.us;
        let share = match device.roof_us(work.flops as f64, work.bytes as f64) {
            (_, false) if e.matrix_share > 0.0 => format!("{:.0} % of matrix peak", 100.0 * e.matrix_share),
            _ => format!("{:.0} % of memory bandwidth", 100.0 * e.memory_share),
        };
        from.push(format!("{} {:.1} us, {} binds, {share} in its main loop", spec.name(), e.us, e.bound));
    }
    Ok(Prediction { us, from: from.join("; ") })
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
