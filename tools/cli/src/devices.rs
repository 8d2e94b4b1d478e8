//! `dropless devices`.

use crate::output::{self, Format};
use dropless::cuda::Cuda;
use dropless::devices::{Discovery, discover};
use dropless::{Backend, Wgpu};
use serde::Serialize;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// One line of the list.
#[derive(Serialize)]
struct Row {
    backend: &'static str,
    found: bool,
    device: Option<String>,
    arch: Option<String>,
    driver: Option<String>,
    memory_bytes: Option<u64>,
    /// What this build can do with it, or why it is absent.
    note: String,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rows: Vec<Row> = discover().iter().flat_map(rows).collect();
    match args.format {
        Format::Json => output::json(&rows)?,
        Format::Table => {
            let mut table = vec![["backend", "device", "arch", "driver", "note"].map(String::from).to_vec()];
            let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".into());
            for row in &rows {
                let backend = row.backend.to_string();
                table.push(vec![backend, text(&row.device), text(&row.arch), text(&row.driver), row.note.clone()]);
            }
            output::table(&table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(found: &Discovery) -> Vec<Row> {
    let absent = |why: &String| Row {
        backend: found.backend,
        found: false,
        device: None,
        arch: None,
        driver: None,
        memory_bytes: None,
        note: format!("absent: {why}"),
    };
    match &found.devices {
        Err(why) => vec![absent(why)],
        Ok(devices) => devices
            .iter()
            .enumerate()
            .map(|(ordinal, device)| Row {
                backend: found.backend,
                found: true,
                device: Some(device.name.clone()),
                arch: Some(device.arch.clone()),
                driver: Some(device.driver.clone()),
                memory_bytes: (device.memory > 0).then_some(device.memory),
                note: abilities(found) + &faults(found, ordinal),
            })
            .collect(),
    }
}

/// What the probes found wrong, and with that the variants that do not run.
fn faults(found: &Discovery, ordinal: usize) -> String {
    if found.backend != Wgpu::NAME {
        return String::new();
    }
    match Wgpu::new(ordinal) {
        Err(why) => format!("; does not open: {why}"),
        Ok(wgpu) => {
            let faults = &wgpu.capabilities().faults;
            faults.iter().map(|f| format!("; failed the probe `{}`: {}", f.probe, f.reason)).collect()
        }
    }
}

fn abilities(found: &Discovery) -> String {
    match found.kernels {
        None => "every op, in Rust".into(),
        Some(0) => "found, but this version ships no kernels for it".into(),
        Some(n) if found.backend == Cuda::NAME => format!("{n} kernels; also as an earlier device (--capability X.Y)"),
        Some(n) => format!("{n} kernels"),
    }
}
