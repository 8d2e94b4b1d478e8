//! Checks the library for other targets, as far as their standard libraries are installed.

use anyhow::{Context, ensure};
use std::path::Path;
use std::process::Command;

/// Where users are, and which features make sense there. The CPU reference and the data crates go everywhere.
const TARGETS: [(&str, &str); 6] = [
    ("x86_64-unknown-linux-gnu", "cuda,hip,wgpu,gpt_oss,testing"),
    ("aarch64-unknown-linux-gnu", "cuda,wgpu,gpt_oss"),
    ("x86_64-pc-windows-msvc", "cuda,wgpu,gpt_oss"),
    ("aarch64-apple-darwin", "wgpu,gpt_oss"),
    ("wasm32-unknown-unknown", ""),
    ("aarch64-linux-android", "wgpu"),
];

pub fn run() -> anyhow::Result<()> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().context("cannot start rustc")?;
    let sysroot = String::from_utf8(output.stdout)?;
    let (mut checked, mut missing) = (0, 0);
    for (target, features) in TARGETS {
        if !Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir() {
            println!("{target}: not checked, its standard library is not installed");
            missing += 1;
            continue;
        }
        let arguments = ["check", "--quiet", "--package", "dropless", "--target", target, "--features", features];
        let status = Command::new(env!("CARGO")).args(arguments).status().context("cannot start cargo")?;
        ensure!(status.success(), "{target}: cargo check failed");
        println!("{target}: checked with features [{features}]");
        checked += 1;
    }
    println!("{checked} targets checked, {missing} not installed");
    Ok(())
}
