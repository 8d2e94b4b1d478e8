//! `cargo x`: developer tasks.

mod package;
mod targets;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo x", about = "Developer tasks of dropless")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Package every publishable crate and fail where one is over 9 MB (crates.io takes 10)
    Package,
    /// `cargo check` the library for every other target whose standard library is installed
    Targets,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Package => package::run(),
        Command::Targets => targets::run(),
    }
}
