//! The disassembly of a code object, by kernel.

use anyhow::Context;
use std::collections::HashMap;
use std::process::Command;

/// An instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub address: u64,
    pub name: String,
    /// As the assembler takes it, name and operands.
    pub text: String,
    /// Where a branch goes.
    pub target: Option<u64>,
}

/// A kernel and what it takes.
pub struct Kernel {
    pub name: String,
    pub code: Vec<Instruction>,
    /// Vector registers of a lane, those for accumulation included.
    pub registers: u64,
    /// Bytes of LDS of a block.
    pub lds: u64,
    /// Threads of a block.
    pub threads: u64,
}

pub struct Listing {
    pub kernels: Vec<Kernel>,
}

impl Listing {
    pub fn read(object: &[u8]) -> anyhow::Result<Listing> {
        let path = crate::target_dir().join("hip-scratch");
        std::fs::create_dir_all(&path)?;
        let path = path.join("estimate.co");
        std::fs::write(&path, object)?;
        let run = |tool: &str, option: &str| -> anyhow::Result<String> {
            let output = Command::new(tool).arg(option).arg(&path).output();
            let output = output.with_context(|| format!("cannot start {tool}: install llvm 22, as .ci/run does"))?;
            anyhow::ensure!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8(output.stdout)?)
        };
        let code = functions(&run("llvm-objdump-22", "-d")?)?;
        Ok(Listing { kernels: kernels(&run("llvm-readelf-22", "--notes")?, code)? })
    }
}

/// Instructions by function. Lines are `address <name>:` and `\tname operands // address: words <name+0x10>`.
fn functions(text: &str) -> anyhow::Result<HashMap<String, Vec<Instruction>>> {
    let (mut out, mut start, mut function) = (HashMap::<String, Vec<Instruction>>::new(), 0, String::new());
    let hex = |s: &str| u64::from_str_radix(s, 16).with_context(|| format!("no address: {s}"));
    for line in text.lines() {
        if let Some((address, name)) = line.strip_suffix(">:").and_then(|l| l.split_once(" <")) {
            (start, function) = (hex(address)?, name.into());
            continue;
        }
        let Some((code, comment)) = line.strip_prefix('\t').and_then(|l| l.rsplit_once("// ")) else { continue };
        let address = hex(comment.split(':').next().unwrap_or_default())?;
        let code = code.trim();
        let name = code.split(' ').next().unwrap_or_default().to_string();
        let branch = name.starts_with("s_branch") || name.starts_with("s_cbranch");
        let label = comment.split_once('<').map(|(_, l)| l.trim_end_matches('>')).filter(|_| branch);
        let target = match label.map(|l| l.split_once("+0x").map_or(Ok(0), |(_, offset)| hex(offset))) {
            Some(offset) => Some(start + offset?),
            None => None,
        };
        out.entry(function.clone()).or_default().push(Instruction { address, name, text: code.into(), target });
    }
    Ok(out)
}

/// Kernels, in the order of the notes.
fn kernels(notes: &str, mut code: HashMap<String, Vec<Instruction>>) -> anyhow::Result<Vec<Kernel>> {
    let mut out = Vec::new();
    // The last items are the version's.
    for part in notes.split("\n  - ").filter(|part| part.contains(".symbol:")) {
        let field = |key: &str| {
            let value = part.lines().find_map(|l| l.trim().strip_prefix(key)?.strip_prefix(':'));
            value.map(str::trim).with_context(|| format!("the notes of a kernel have no {key}"))
        };
        let number = |key: &str| -> anyhow::Result<u64> { Ok(field(key)?.parse()?) };
        let name = field(".name")?.to_string();
        out.push(Kernel {
            code: code.remove(&name).with_context(|| format!("no code of {name}"))?,
            registers: number(".vgpr_count")?,
            lds: number(".group_segment_fixed_size")?,
            threads: number(".max_flat_workgroup_size")?,
            name,
        });
    }
    Ok(out)
}
