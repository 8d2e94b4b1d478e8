//! The CUDA compiler from pinned wheels, in a virtual environment of its own.

use super::table::{Table, Variant};
use crate::target_dir;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Toolchain {
    /// CUDA 13.0: bin/nvcc, bin/ptxas, include.
    cuda: PathBuf,
    /// ptxas of CUDA 12.0, the oldest that PTX 8.0 has to please.
    oldest_ptxas: PathBuf,
    scratch: PathBuf,
}

/// A row, assembled.
pub struct Assembled {
    /// What `ptxas -v` said.
    pub said: String,
    cubin: PathBuf,
}

impl Toolchain {
    /// Installs the wheels named in `pins` unless exactly these are there already.
    pub fn install(pins: &Path) -> anyhow::Result<Toolchain> {
        let wanted = std::fs::read_to_string(pins).with_context(|| format!("{}", pins.display()))?;
        let folder = std::path::absolute(target_dir().join("cuda-toolchain"))?;
        let stamp = folder.join("installed.txt");
        if std::fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
            println!("installing the compiler of {} into {}", pins.display(), folder.display());
            let python = |arguments: &[&str]| {
                run(Command::new(folder.join("bin/python")).args(["-m", "pip"]).args(arguments).arg(pins)).map(drop)
            };
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
            python(&["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"])?;
            std::fs::write(&stamp, &wanted)?;
        }
        let packages = site_packages(&folder)?.join("nvidia");
        let toolchain = Toolchain {
            cuda: packages.join("cu13"),
            oldest_ptxas: packages.join("cuda_nvcc/bin/ptxas"),
            scratch: folder.join("scratch"),
        };
        std::fs::create_dir_all(&toolchain.scratch)?;
        Ok(toolchain)
    }

    /// PTX of a row, as the compiler gives it. Compiled inside the crate: paths in messages and in the output are relative.
    pub fn nvcc(&self, root: &Path, table: &Table, variant: &Variant) -> anyhow::Result<String> {
        let out = self.scratch(variant, "nvcc.ptx");
        let mut nvcc = Command::new(self.cuda.join("bin/nvcc"));
        nvcc.current_dir(root).env("PATH", self.path()?).arg("-ptx").args(&table.flags).args(variant.defines());
        nvcc.arg(format!("-arch=compute_{}", variant.arch))
            .args(["-I", "include", "-o"])
            .arg(&out)
            .arg(&variant.source);
        let said = run(&mut nvcc)?;
        ensure!(said.trim().is_empty(), "{}: {said}", variant.source);
        std::fs::read_to_string(&out).with_context(|| format!("{}", out.display()))
    }

    /// Assembles the PTX for its own architecture, with the old assembler too where the row promises that. Fails on spills where
    /// the row forbids them, on local memory in kernels made for one architecture, and where wgmma was serialised.
    pub fn assemble(&self, variant: &Variant, ptx: &str) -> anyhow::Result<Assembled> {
        let file = self.scratch(variant, "ptx");
        std::fs::write(&file, ptx)?;
        if variant.ptx == 80 {
            self.ptxas(&self.oldest_ptxas, variant, &file, &self.scratch(variant, "oldest.cubin"))?;
        }
        let cubin = self.scratch(variant, "cubin");
        let said = self.ptxas(&self.cuda.join("bin/ptxas"), variant, &file, &cubin)?;
        Ok(Assembled { said, cubin })
    }

    fn ptxas(&self, ptxas: &Path, variant: &Variant, file: &Path, cubin: &Path) -> anyhow::Result<String> {
        let arch = format!("-arch=sm_{}", variant.arch);
        let said = run(Command::new(ptxas).args(["-v", &arch]).arg(file).arg("-o").arg(cubin))?;
        let spilled = said.lines().any(|l| l.contains("spill stores") && !l.contains(" 0 bytes spill stores"));
        ensure!(variant.spills || !spilled, "{}: registers spill\n{said}", variant.artifact());
        let local = said.lines().any(|l| l.contains("stack frame") && !l.contains(" 0 bytes stack frame"));
        ensure!(!(local && variant.arch.ends_with('a')), "{}: takes local memory\n{said}", variant.artifact());
        // C7510 to C7515: the assembler waits after every wgmma.
        if let Some(line) = (7510..=7515).find_map(|n| said.lines().find(|l| l.contains(&format!("C{n}")))) {
            bail!("{}: {line}", variant.artifact());
        }
        Ok(said)
    }

    /// The instructions of an assembled row, kernel by kernel.
    pub fn disassemble(&self, assembled: &Assembled) -> anyhow::Result<String> {
        // It starts nvdisasm, which it looks for on the path.
        let mut cuobjdump = Command::new(self.cuda.join("bin/cuobjdump"));
        run(cuobjdump.env("PATH", self.path()?).arg("-sass").arg(&assembled.cubin))
    }

    /// A file of its own for each row: rows are compiled side by side.
    fn scratch(&self, variant: &Variant, extension: &str) -> PathBuf {
        let name = variant.artifact().replace('/', ".");
        self.scratch.join(name).with_extension(extension)
    }

    /// nvcc finds its own parts beside itself; the host compiler is the system's.
    fn path(&self) -> anyhow::Result<std::ffi::OsString> {
        let system = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.cuda.join("bin")).chain(std::env::split_paths(&system));
        Ok(std::env::join_paths(paths)?)
    }
}

fn site_packages(folder: &Path) -> anyhow::Result<PathBuf> {
    for entry in std::fs::read_dir(folder.join("lib"))? {
        let packages = entry?.path().join("site-packages");
        if packages.is_dir() {
            return Ok(packages);
        }
    }
    bail!("{} has no site-packages", folder.display())
}

/// Runs to the end; what it printed, or an error that says it.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
    ensure!(output.status.success(), "{name} failed:\n{said}");
    Ok(said)
}
