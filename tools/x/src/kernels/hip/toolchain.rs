//! Clang of one version, as the system has it: the distribution packages it with all targets.

use super::table::{Table, Variant};
use crate::target_dir;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The least LDS that a workgroup has on all targets.
const MOST_LDS: u64 = 64 << 10;

pub struct Toolchain {
    scratch: PathBuf,
}

/// A code object, what it was made of, and what it takes.
pub struct Compiled {
    pub bytes: Vec<u8>,
    pub sources: Vec<String>,
    pub report: String,
}

impl Toolchain {
    /// The compiler, if it is exactly the version that `pin` names.
    pub fn find(pin: &Path) -> anyhow::Result<Toolchain> {
        let wanted = std::fs::read_to_string(pin).with_context(|| format!("{}", pin.display()))?;
        let wanted = wanted.lines().find(|l| !l.starts_with('#')).unwrap_or_default();
        let install = "install clang, lld and llvm 22, as .ci/run does";
        let said = run(Command::new("clang-22").arg("--version")).context(install)?;
        ensure!(said.contains(&format!("version {wanted} ")), "clang is not {wanted}: {said}\n{install}");
        let scratch = std::path::absolute(target_dir().join("hip-scratch"))?;
        std::fs::create_dir_all(&scratch)?;
        Ok(Toolchain { scratch })
    }

    /// Compiles a row for a target, inside the crate: paths in messages are relative. Fails where a kernel spills vector
    /// registers or takes more LDS than there is.
    pub fn compile(&self, root: &Path, table: &Table, variant: &Variant, arch: &str) -> anyhow::Result<Compiled> {
        let (object, depends) = (self.scratch.join("out.co"), self.scratch.join("out.d"));
        let mut clang = Command::new("clang-22");
        clang.current_dir(root).args(&table.flags).args(variant.defines()).arg(format!("--offload-arch={arch}"));
        // The driver has no option of its own for this where it compiles for a device alone.
        for option in ["-dependency-file".as_ref(), depends.as_os_str(), "-MT".as_ref(), "out".as_ref()] {
            clang.arg("-Xclang").arg(option);
        }
        let said = run(clang.arg("-o").arg(&object).arg(&variant.source))?;
        ensure!(said.trim().is_empty(), "{}: {said}", variant.source);
        let notes = run(Command::new("llvm-readelf-22").arg("--notes").arg(&object))?;
        let report = gate(&notes).with_context(|| format!("{} for {arch}", variant.source))?;
        for entry in &variant.entries {
            let declared = notes.lines().any(|l| l.trim() == format!(".name:           {entry}"));
            ensure!(declared, "{} declares no kernel `{entry}`", variant.source);
        }
        let words = std::fs::read_to_string(&depends)?.replace("\\\n", " ");
        let sources = words.split_whitespace().filter(|w| *w != "out:").map(String::from).collect();
        Ok(Compiled { bytes: std::fs::read(&object)?, sources, report })
    }
}

/// What the kernels of an object take, in words.
fn gate(notes: &str) -> anyhow::Result<String> {
    let all = |key: &str| -> anyhow::Result<Vec<u64>> {
        let values = notes.lines().filter_map(|l| l.trim().trim_start_matches("- ").strip_prefix(key));
        Ok(values.map(|v| v.trim().parse()).collect::<Result<_, _>>()?)
    };
    let none = |key: &str| -> anyhow::Result<()> {
        let found = all(key)?;
        ensure!(!found.is_empty() && found.iter().all(|n| *n == 0), "{key} {found:?}, wanted none");
        Ok(())
    };
    none(".vgpr_spill_count:")?;
    none(".private_segment_fixed_size:")?;
    let (registers, lds) = (all(".vgpr_count:")?, all(".group_segment_fixed_size:")?);
    ensure!(lds.iter().all(|n| *n <= MOST_LDS), "LDS {lds:?}, there are {MOST_LDS}");
    Ok(format!("vector registers {registers:?}, LDS {lds:?}"))
}

/// Runs to the end; what it printed, or an error that says it.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
    ensure!(output.status.success(), "{name} failed:\n{said}");
    Ok(said)
}
