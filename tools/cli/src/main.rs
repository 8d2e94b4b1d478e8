//! The `dropless` command.

mod backends;
mod bench;
mod checkpoints;
mod devices;
mod explain;
mod generate;
mod output;
mod tune;
mod verify;
mod weights;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "dropless", version, about = "GPU kernels for gpt-oss-class models: verify them, run the model")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure ops or a whole model, beside the roof of the device, goals and earlier runs
    Bench(bench::Args),
    /// List every backend, found or absent and why
    Devices(devices::Args),
    /// Say which kernel would run, why none of the others, and how fast it could be; needs no device
    Explain(explain::Args),
    /// Run a gpt-oss model: text or tokens in, text or tokens out
    Generate(generate::Args),
    /// Write a checkpoint of random weights, so that everything runs without downloading a model
    Synth(checkpoints::SynthArgs),
    /// Rewrite a checkpoint in another layout, without loss
    Convert(checkpoints::ConvertArgs),
    /// Measure every variant of the GEMMs and of dispatch on this device, and write down which is the fastest
    Tune(tune::Args),
    /// Judge every op on every backend found, against the reference and the golden vectors
    Verify(verify::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Synth(args) => checkpoints::run_synth(&args),
        Command::Convert(args) => checkpoints::run_convert(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Verify(args) => verify::run(&args),
    };
    match result {
        Ok(code) => code,
        // Whoever reads us has read enough: `dropless verify | head` is not an error.
        Err(e) if output::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            // Not `eprintln`, which panics where nobody reads standard error.
            let _ = writeln!(std::io::stderr(), "error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
