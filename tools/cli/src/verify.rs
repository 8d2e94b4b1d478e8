//! `dropless verify`: every op on every backend found, against the reference and the golden vectors.

use crate::backends::{self, Choice, CudaArgs};
use crate::output::{self, Format};
use clap::ValueEnum;
use dropless::cuda::variants;
use dropless::kernel::AllOps;
use dropless::testing::conform::{Same, same};
use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Report, Row, Status, conform};
use dropless::{Hip, Replay, Wgpu};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    /// Backends to judge [default: every one found]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    backend: Vec<String>,
    /// Ops to judge [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    op: Vec<String>,
    /// Cases whose name contains one of these [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    case: Vec<String>,
    #[command(flatten)]
    cuda: CudaArgs,
    /// Force this variant of the kernels
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Instead: record each case once (a graph on CUDA), replay it on other operands, compare with direct calls bit for bit
    #[arg(long, conflicts_with_all = ["vectors", "class"])]
    replay: bool,
    /// Instead: rows spread over more than 2^31 elements, compared with packed ones bit for bit; takes gigabytes
    #[arg(long, conflicts_with_all = ["vectors", "class", "replay"])]
    spread: bool,
    /// Judge by the golden vectors in this folder (format dropless-vectors/1) and by nothing else
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// Accuracy class to hold the vectors to [default: the backend's own]; f64 is the oracle mode of the cpu backend
    #[arg(long, value_enum)]
    class: Option<ClassName>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "lower")]
enum ClassName {
    F64,
    F32,
    Bf16,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Class {
        match name {
            ClassName::F64 => Class::F64,
            ClassName::F32 => Class::F32,
            ClassName::Bf16 => Class::Bf16,
        }
    }
}

/// A row and the set of cases it belongs to.
#[derive(Serialize)]
struct Judged {
    /// `cases`: against the oracle on made-up operands; `vectors`: golden vectors; `replays`: recorded calls against direct
    /// ones; `spread`: rows far apart against packed ones.
    set: &'static str,
    #[serde(flatten)]
    row: Row,
}

#[derive(Serialize)]
struct Outcome {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Backends that were not judged, and why.
    absent: BTreeMap<&'static str, String>,
    rows: Vec<Judged>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (chosen, absent) = backends::choose(&args.backend)?;
    args.cuda.check(&chosen)?;
    let vectors = match &args.vectors {
        Some(folder) => Vectors::open(folder)?,
        None => Vectors::bundled()?,
    };
    let filter =
        Filter { ops: args.op.clone(), cases: args.case.clone(), variant: args.variant.clone(), ..Filter::default() };
    let mut rows = Vec::new();
    for backend in chosen {
        match backend {
            Choice::Cpu => {
                let class = args.class.map_or(Class::F32, Class::from);
                judge(&class.cpu(), class, args, &vectors, &filter, &mut rows);
            }
            Choice::Cuda => {
                let class = args.class.map_or(Class::Bf16, Class::from);
                judge(&Arc::new(args.cuda.open()?), class, args, &vectors, &filter, &mut rows);
            }
            Choice::Hip => {
                let class = args.class.map_or(Class::Bf16, Class::from);
                judge(&Arc::new(Hip::new(0)?), class, args, &vectors, &filter, &mut rows);
            }
            Choice::Wgpu => {
                let class = args.class.map_or(Class::Bf16, Class::from);
                judge(&Arc::new(Wgpu::new(0)?), class, args, &vectors, &filter, &mut rows);
            }
        }
    }
    anyhow::ensure!(
        args.case.is_empty() || !rows.is_empty(),
        "no case of these ops has {} in its name",
        args.case.join(" or ")
    );
    for op in &args.op {
        anyhow::ensure!(rows.iter().any(|j| j.row.op == *op), "no case has an op of this name: {op}");
    }
    if let Some(variant) = &args.variant {
        let ran = rows.iter().any(|j| j.row.status != Status::Skipped);
        let wanted = |op: &str| args.op.is_empty() || args.op.iter().any(|o| o == op);
        let mut known: Vec<&str> = variants().into_iter().filter(|(op, _)| wanted(op)).map(|(_, v)| v).collect();
        known.sort_unstable();
        known.dedup();
        let known = known.join(", ");
        anyhow::ensure!(ran, "no variant {variant:?} runs any case of these backends and ops; cuda has {known}");
    }
    let report = Report { rows: rows.iter().map(|j| j.row.clone()).collect() };
    let count = |status| report.count(status);
    let outcome = Outcome {
        passed: count(Status::Passed),
        failed: count(Status::Failed),
        skipped: count(Status::Skipped),
        absent,
        rows,
    };
    match args.format {
        Format::Json => output::json(&outcome)?,
        Format::Table => {
            print(&outcome)?;
            writeln!(std::io::stdout().lock(), "{report}")?;
        }
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge<B: Replay + AllOps>(
    backend: &Arc<B>,
    class: Class,
    args: &Args,
    vectors: &Vectors,
    filter: &Filter,
    rows: &mut Vec<Judged>,
) {
    let bar = output::spinner();
    let progress = |row: &Row| {
        bar.set_message(format!("{} {} {}", row.backend, row.op, row.case));
        bar.inc(1);
    };
    let mut take = |set, report: Report| rows.extend(report.rows.into_iter().map(|row| Judged { set, row }));
    let how = match (args.replay, args.spread) {
        (true, _) => Some(("replays", Same::Replayed)),
        (_, true) => Some(("spread", Same::Spread)),
        _ => None,
    };
    if let Some((set, how)) = how {
        take(set, same(&**backend, how, filter, progress));
    } else {
        if args.vectors.is_none() {
            take("cases", conform::run(&**backend, filter, progress));
        }
        take("vectors", vectors.run(backend, class, filter, progress));
    }
    bar.finish_and_clear();
}

/// One line for each op, backend and set; what failed or was skipped below, with its reason.
fn print(outcome: &Outcome) -> anyhow::Result<()> {
    let mut lines: Vec<([String; 3], Vec<&Judged>)> = Vec::new();
    for judged in &outcome.rows {
        let key = [&judged.row.op, &judged.row.backend, judged.set].map(output::printable);
        match lines.iter_mut().find(|(k, _)| *k == key) {
            Some((_, group)) => group.push(judged),
            None => lines.push((key, vec![judged])),
        }
    }
    let heading = ["op", "backend", "set", "passed", "failed", "skipped", "worst error / allowed"];
    let mut table = vec![heading.map(String::from).to_vec()];
    for (key, group) in &lines {
        let count = |status| group.iter().filter(|j| j.row.status == status).count().to_string();
        let worst = group.iter().filter_map(|j| j.row.worst).reduce(f64::max);
        let mut line = key.to_vec();
        line.extend([Status::Passed, Status::Failed, Status::Skipped].map(count));
        line.push(worst.map_or("-".into(), |w| if w == 0.0 { "exact".into() } else { format!("{w:.3}") }));
        table.push(line);
    }
    output::table(&table)?;
    let mut out = std::io::stdout().lock();
    for judged in outcome.rows.iter().filter(|j| j.row.status != Status::Passed) {
        let Row { op, backend, case, status, message, .. } = &judged.row;
        let line = format!("{status}: {op} on {backend}, {} {case}: {message}", judged.set);
        writeln!(out, "{}", output::printable(&line))?;
    }
    for (backend, why) in &outcome.absent {
        writeln!(out, "{backend}: not judged: {why}")?;
    }
    Ok(())
}
