//! llvm-mca: what waits for what in a wave's step. A cycle of its is four clocks, the time of a vector instruction.

use super::facts::{self, LDS_LATENCY};
use super::listing::Instruction;
use anyhow::{Context, ensure};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Clocks of a step among many, a load taking so many.
pub fn clocks(step: &[Instruction], arch: &str, load: u64) -> anyhow::Result<u64> {
    let mut text = String::new();
    for i in step {
        let latency = match i.name.as_str() {
            name if facts::loaded(name) > 0 => load,
            name if name.starts_with("ds_read") || name.contains("bpermute") => LDS_LATENCY,
            _ => 0,
        };
        match (i.name.as_str(), latency) {
            // It takes each for one cycle.
            ("s_nop", _) => {
                let more: u64 = i.text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
                (0..=more).for_each(|_| text += "s_nop 0\n");
            }
            // It takes 500 cycles for it. How long the others of the block take is not a wave's own time.
            ("s_barrier", _) => text += "s_nop 0\n",
            (_, 0) => text += &format!("{}\n", i.text),
            (_, latency) => {
                let _ =
                    writeln!(text, "; LLVM-MCA-LATENCY {}\n{}\n; LLVM-MCA-LATENCY", latency / 4, of_memory(&i.text));
            }
        }
    }
    // The first ones fill the pipes.
    let cycles = |iterations: u64| -> anyhow::Result<u64> {
        let said = run(&text, arch, iterations)?;
        let total = said.lines().find_map(|l| l.strip_prefix("Total Cycles:"));
        Ok(total.context("llvm-mca gives no cycles")?.trim().parse()?)
    };
    Ok((cycles(24)? - cycles(8)?) * 4 / 16)
}

/// It has waits for LDS wait for global loads too, which are not counted among them, but not for loads of buffers: this load as
/// one of those, from the same registers.
fn of_memory(text: &str) -> String {
    let as_buffer = || {
        let rest = text.strip_prefix("global_load_").filter(|rest| !rest.starts_with("lds_"))?;
        let mut operands = rest.splitn(3, ", ");
        let (loaded, address) = (operands.next()?, operands.next()?);
        let first = address.trim_start_matches(['v', '[']).split(':').next()?;
        Some(format!("buffer_load_{loaded}, v{first}, s[96:99], 0 offen"))
    };
    as_buffer().unwrap_or_else(|| text.to_owned())
}

/// Passes of the matrix units, four clocks each.
pub fn passes(step: &[Instruction], arch: &str) -> anyhow::Result<u64> {
    let text: String = step.iter().filter(|i| facts::flops(&i.name) > 0).map(|i| format!("{}\n", i.text)).collect();
    if text.is_empty() {
        return Ok(0);
    }
    let said = run(&text, arch, 1)?;
    let units: Vec<&str> = said.lines().filter(|l| l.starts_with('[')).collect();
    let unit = units.iter().find_map(|l| l.strip_suffix("- HWXDL")).context("llvm-mca has no matrix unit")?.trim();
    let mut lines = said.lines().skip_while(|l| !l.starts_with("Resource pressure per iteration"));
    let (heads, values) = (lines.nth(1).unwrap_or_default(), lines.next().unwrap_or_default());
    let column = heads.split_whitespace().position(|h| h == unit).context("llvm-mca gives no matrix unit")?;
    let passes: f64 = values.split_whitespace().nth(column).context("llvm-mca gives no passes")?.parse()?;
    Ok(passes as u64)
}

fn run(text: &str, arch: &str, iterations: u64) -> anyhow::Result<String> {
    let mut mca = Command::new("llvm-mca-22");
    mca.args(["-mtriple=amdgcn-amd-amdhsa", &format!("-mcpu={arch}"), &format!("-iterations={iterations}")]);
    let mut child = mca
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start llvm-mca-22: install llvm 22, as .ci/run does")?;
    // It reads all before it writes.
    child.stdin.take().context("llvm-mca-22 has no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "llvm-mca-22: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_loads_are_those_of_buffers() {
        let wide = "global_load_dwordx4 v[70:73], v[106:107], off offset:16";
        assert_eq!(of_memory(wide), "buffer_load_dwordx4 v[70:73], v106, s[96:99], 0 offen");
        assert_eq!(of_memory("global_load_ubyte v1, v2, s[4:5]"), "buffer_load_ubyte v1, v2, s[96:99], 0 offen");
        assert_eq!(of_memory("ds_read_b128 v[0:3], v4"), "ds_read_b128 v[0:3], v4");
    }
}
