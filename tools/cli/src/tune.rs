//! `dropless tune`: which variant is the fastest on this device, in a file that the chooser goes by.

use crate::backends::CudaArgs;
use crate::bench::number;
use crate::output;
use crate::weights::MoeWeights;
use anyhow::Context;
use dropless::Backend;
use dropless::backend::{Tuned, TunedRow};
use dropless::testing::bench::{Options, Select, Tried, tune, tuned_rows};
use serde_json::json;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
pub struct Args {
    /// File to write, or a folder where it is named after the device; rows of it that are not measured again stay
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the times of the variants near the fastest there too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Ops of `dropless bench` to measure [default: the grouped GEMMs, linear layers and dispatch]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    op: Vec<String>,
    /// Cases whose name contains one of these
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    case: Vec<String>,
    /// Models whose dimensions to take [default: gpt-oss-20b, gpt-oss-120b]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    preset: Vec<String>,
    /// Tokens of a call [default: the powers of two up to 8192]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    tokens: Vec<usize>,
    #[command(flatten)]
    cuda: CudaArgs,
    #[command(flatten)]
    weights: MoeWeights,
    /// Shortest sustained measurement of a variant
    #[arg(long, value_name = "S", default_value_t = 0.05)]
    seconds: f64,
    /// Begin no row after so many seconds; a later run may take the other ones by --op, --preset and --tokens
    #[arg(long, value_name = "S")]
    limit: Option<f64>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let above_zero = |seconds: f64| seconds.is_finite() && seconds > 0.0;
    anyhow::ensure!(above_zero(args.seconds), "--seconds must be above zero");
    anyhow::ensure!(args.limit.is_none_or(above_zero), "--limit must be above zero");
    anyhow::ensure!(!args.tokens.contains(&0), "--tokens must be above zero");
    anyhow::ensure!(args.cuda.tuned.is_none(), "--tuned is for what goes by a file; --out keeps its rows");
    // What is chosen without measurements is what they are compared with.
    let cuda = args.cuda.open()?;
    let device = cuda.device().name.clone();
    let cuda = cuda.with_tuned(Tuned { device: device.clone(), rows: Vec::new() })?;
    let (path, mut tuned) = target(&args.out, &device)?;
    let usual = tuned_rows();
    let or = |given: &[String], usual: Vec<String>| if given.is_empty() { usual } else { given.to_vec() };
    let select = Select {
        ops: or(&args.op, usual.ops),
        presets: or(&args.preset, usual.presets),
        cases: args.case.clone(),
        tokens: if args.tokens.is_empty() { usual.tokens } else { args.tokens.clone() },
        ..Select::default()
    };
    let options =
        Options { select, seconds: args.seconds, openai_weights: args.weights.openai("cuda"), ..Options::default() };
    let bar = output::spinner();
    let (mut tried, started) = (Vec::<Tried>::new(), Instant::now());
    let progress = |what: &str| {
        bar.set_message(what.to_string());
        bar.inc(1);
    };
    tune(&cuda, &options, progress, |row| {
        keep(&row, &mut tuned, &path)?;
        // Where no terminal shows the bar, this is what is seen of it.
        bar.suspend(|| eprintln!("{:4.0} s: {}", started.elapsed().as_secs_f64(), line(&row)[..5].join(" ")));
        tried.push(row);
        let over = args.limit.is_some_and(|limit| started.elapsed().as_secs_f64() >= limit);
        Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    bar.finish_and_clear();
    print(&tried)?;
    if let Some(path) = &args.json {
        std::fs::write(path, times(&device, &tried)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    writeln!(std::io::stdout().lock(), "{} rows in {}", tuned.rows.len(), path.display())?;
    let wrong: Vec<String> = tried.iter().flat_map(wrong).collect();
    wrong.iter().for_each(|line| eprintln!("wrong: {line}"));
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The row's best variant into the table and its file, which is whole at any time: nothing is lost where this is interrupted.
fn keep(row: &Tried, tuned: &mut Tuned, path: &Path) -> Result<(), dropless::Error> {
    let Some(variant) = row.best() else { return Ok(()) };
    let (op, class, variant) = (row.kernel.into(), row.class.name.clone(), variant.into());
    tuned.insert(TunedRow { op, class, size: row.class.size, variant });
    let next = path.with_extension("toml.next");
    let written = std::fs::write(&next, tuned.to_string()).and_then(|()| std::fs::rename(&next, path));
    written.map_err(|e| dropless::Error::input(format!("cannot write {}", path.display()), e))
}

/// Times that are written: those of up to so many times the fastest, which are measured for longer than at first sight.
const WRITTEN: f64 = 1.5;

/// The times as JSON, a row a line.
fn times(device: &str, tried: &[Tried]) -> String {
    let row = |t: &Tried| {
        let most = t.times.first().map_or(0.0, |(_, us)| us * WRITTEN);
        let near = t.times.iter().filter(|(_, us)| *us <= most);
        let times: Vec<_> = near.map(|(name, us)| json!([name, (us * 1e3).round() / 1e3])).collect();
        json!({ "op": t.op, "case": t.case, "tokens": t.tokens, "us": times }).to_string()
    };
    let rows: Vec<String> = tried.iter().map(row).collect();
    format!("{{\"device\":{},\n\"rows\":[\n{}\n]}}\n", json!(device), rows.join(",\n"))
}

/// The file, and what stands in it already.
fn target(out: &Path, device: &str) -> anyhow::Result<(PathBuf, Tuned)> {
    let path = if out.is_dir() { out.join(file_name(device)) } else { out.to_path_buf() };
    let none = || Tuned { device: device.into(), rows: Vec::new() };
    if !path.exists() {
        return Ok((path, none()));
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let old: Tuned = text.parse().with_context(|| format!("{} is not a file of tuned rows", path.display()))?;
    anyhow::ensure!(old.device == device, "{} is of {}, this is {device}", path.display(), old.device);
    Ok((path, old))
}

/// `h200.toml` for NVIDIA H200.
fn file_name(device: &str) -> String {
    let words = device.trim_start_matches("NVIDIA ").to_lowercase();
    let name: String = words.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("{name}.toml")
}

fn print(tried: &[Tried]) -> anyhow::Result<()> {
    let heading = ["op", "case", "tokens", "fastest", "us", "next", "us", "chosen without", "times the fastest"];
    let mut table = vec![heading.map(String::from).to_vec()];
    table.extend(tried.iter().map(|row| line(row).to_vec()));
    Ok(output::table(&table)?)
}

/// Of the table that is printed.
fn line(row: &Tried) -> [String; 9] {
    let place = |i: usize| match row.times.get(i) {
        Some((name, us)) => [name.to_string(), number(*us)],
        None => ["-", "-"].map(String::from),
    };
    let ([fastest, us], [next, next_us]) = (place(0), place(1));
    let (chosen, excess) = (row.chosen.unwrap_or("-").into(), row.excess().map_or("-".into(), |e| format!("{e:.2}")));
    [row.op.into(), row.case.clone(), row.tokens.to_string(), fastest, us, next, next_us, chosen, excess]
}

fn wrong(row: &Tried) -> impl Iterator<Item = String> {
    row.wrong.iter().map(move |variant| format!("{} {} {}, {variant}", row.op, row.case, row.tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dropless::backend::Class;

    #[test]
    fn files_are_named_after_devices_and_kept() {
        assert_eq!(file_name("NVIDIA H200"), "h200.toml");
        assert_eq!(file_name("NVIDIA H200 as 8.0"), "h200-as-8.0.toml");
        let folder = tempfile::tempdir().unwrap();
        let (path, mut tuned) = target(folder.path(), "NVIDIA A100").unwrap();
        assert!(path.ends_with("a100.toml") && tuned.rows.is_empty());
        tuned.insert(TunedRow { op: "x".into(), class: "y".into(), size: 1, variant: "z".into() });
        std::fs::write(&path, tuned.to_string()).unwrap();
        assert_eq!(target(&path, "NVIDIA A100").unwrap(), (path.clone(), tuned.clone()));
        // Row by row; one without a right variant changes nothing.
        let class = |size| Class { name: "y".into(), size };
        let row = |size, times: &[(&'static str, f64)]| Tried {
            op: "x",
            case: "c".into(),
            tokens: size,
            kernel: "x",
            class: class(size),
            chosen: Some("z"),
            times: times.to_vec(),
            wrong: Vec::new(),
        };
        for (row, want) in [(row(1, &[("a", 1.0), ("z", 2.0)]), "a"), (row(2, &[("z", 2.0)]), "z"), (row(1, &[]), "a")]
        {
            keep(&row, &mut tuned, &path).unwrap();
            let (_, read) = target(&path, "NVIDIA A100").unwrap();
            assert_eq!((read.variant("x", &row.class), &read), (Some(want), &tuned));
        }
        let written: serde_json::Value =
            serde_json::from_str(&times("d", &[row(3, &[("a", 1.25)]), row(4, &[])])).unwrap();
        assert_eq!(written["rows"][0], json!({ "op": "x", "case": "c", "tokens": 3, "us": [["a", 1.25]] }));
        assert_eq!(written["rows"][1]["us"], json!([]));
        assert!(target(&path, "NVIDIA H100").unwrap_err().to_string().contains("NVIDIA A100"));
        std::fs::write(&path, "nonsense").unwrap();
        assert!(target(&path, "NVIDIA A100").unwrap_err().to_string().contains("not a file of tuned rows"));
    }
}
