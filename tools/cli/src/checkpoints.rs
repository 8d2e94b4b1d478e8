//! `dropless synth` and `dropless convert`: checkpoints made and rewritten.

use crate::output;
use clap::ValueEnum;
use dropless::gpt_oss::convert::{MAX_SHARD, convert};
use dropless::gpt_oss::{Config, Layout, Progress, synth};
use indicatif::ProgressBar;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct SynthArgs {
    /// Geometry
    #[arg(long, value_enum)]
    preset: Preset,
    /// Folder to write: new, or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of the weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    /// 4 layers, 512 tokens, a tokenizer of its own: a few MB
    Tiny,
    /// 24 layers, 32 experts: 13 GB
    #[value(name = "gpt-oss-20b")]
    GptOss20b,
    /// 36 layers, 128 experts: 61 GB
    #[value(name = "gpt-oss-120b")]
    GptOss120b,
}

#[derive(clap::Args)]
pub struct ConvertArgs {
    /// Folder of the checkpoint
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Layout to write
    #[arg(long, value_enum)]
    to: LayoutName,
    /// Folder to write: new, or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayoutName {
    /// Hugging Face
    Hf,
    /// OpenAI's original
    Original,
    /// Experts in the order tensor cores read them
    Prepacked,
}

pub fn run_synth(args: &SynthArgs) -> anyhow::Result<ExitCode> {
    let name = args.preset.to_possible_value().map(|v| v.get_name().to_string()).unwrap_or_default();
    let bar = output::progress_bar(true);
    synth::synth(&Config::preset(&name)?, &args.out, args.seed, &mut follow(&bar))?;
    bar.finish_and_clear();
    Ok(ExitCode::SUCCESS)
}

pub fn run_convert(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let layout = match args.to {
        LayoutName::Hf => Layout::Hf,
        LayoutName::Original => Layout::Original,
        LayoutName::Prepacked => Layout::Prepacked,
    };
    let bar = output::progress_bar(true);
    convert(&args.model, layout, &args.out, MAX_SHARD, &mut follow(&bar))?;
    bar.finish_and_clear();
    Ok(ExitCode::SUCCESS)
}

fn follow(bar: &ProgressBar) -> impl FnMut(Progress) + '_ {
    |p| {
        bar.set_length(p.total);
        bar.set_position(p.done);
    }
}
