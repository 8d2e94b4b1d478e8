//! `cargo x`: developer tasks.

mod estimate;
mod kernels;
mod package;
mod targets;
mod tune;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "cargo x", about = "Developer tasks of dropless")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile the kernels of a data crate, with a compiler of its own choice and version
    #[command(subcommand)]
    Kernels(Kernels),
    /// Estimate how fast compiled kernels could be: measured on nothing
    #[command(subcommand)]
    Estimate(Estimate),
    /// Package every publishable crate and fail where one is over 9 MB (crates.io takes 10)
    Package,
    /// `cargo check` the library for every other target whose standard library is installed
    Targets,
    /// `dropless tune` into tuned/: which variants are the fastest on the device that is here
    Tune {
        /// Options of `dropless tune`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Kernels {
    /// CUDA C++ to PTX: every row of kernels-cuda/variants.toml. Linux x86-64 with python3 and gcc; the compiler is downloaded
    Cuda {
        /// Change nothing: compile elsewhere and fail where a byte differs from what is committed
        #[arg(long)]
        check: bool,
        /// Compile the variants of these names alone and leave the others as they are: for headers that nothing else includes
        #[arg(long, value_delimiter = ',', value_name = "LIST", conflicts_with = "check")]
        only: Vec<String>,
    },
    /// HIP C++ to AMD code objects: every row of kernels-hip/variants.toml. Linux with clang, lld and llvm 22
    Hip {
        /// Change nothing: compile elsewhere and fail where a byte differs from what is committed
        #[arg(long)]
        check: bool,
    },
}

#[derive(Subcommand)]
enum Estimate {
    /// AMD code objects against the limits of MI250X, MI300X and MI355X. Needs llvm 22
    Hip {
        /// Code objects, or parts of the names of committed ones [default: all of these]
        words: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Kernels(Kernels::Cuda { check, only }) => kernels::cuda(check, &only),
        Command::Kernels(Kernels::Hip { check }) => kernels::hip::compile(check),
        Command::Estimate(Estimate::Hip { words }) => estimate::print(&words),
        Command::Package => package::run(),
        Command::Targets => targets::run(),
        Command::Tune { arguments } => tune::run(&arguments),
    }
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
