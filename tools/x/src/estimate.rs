//! `cargo x estimate hip`: how long a step of a kernel's main loop takes at least, from its compiled code. No AMD GPU is asked:
//! these are estimates, not measurements.
//!
//! The main loop is the innermost one with the most matrix instructions; where there are none, the one that loads most. Of its
//! ways from head to end, the one taken is that which multiplies and loads the most in the fewest instructions: not that of
//! unaligned rows and ends. llvm-mca runs it for one wave; what it does not know is in `facts.rs`.

pub mod facts;
mod flow;
mod listing;
mod mca;
mod words;

use anyhow::{Context, ensure};
use facts::Facts;
use listing::{Instruction, Kernel, Listing};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Targets of which enough is known.
pub const ARCHS: [&str; 3] = ["gfx90a", "gfx942", "gfx950"];

/// What all waves of a compute unit do in the time of one step each, and the clocks that takes of each of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    pub entry: String,
    /// Waves that a compute unit holds at once.
    pub waves: u64,
    /// Operations of the matrix units.
    pub flops: u64,
    /// Bytes loaded from memory.
    pub bytes: u64,
    pub matrix: u64,
    pub vector: u64,
    pub lds: u64,
    pub l2: u64,
    /// A wave's own step: what waits for what, with loads that come from L2, and from memory.
    pub chain: [u64; 2],
}

/// The kernels of a code object that have a main loop.
pub fn object(bytes: &[u8], arch: &str) -> anyhow::Result<Vec<Estimate>> {
    let facts = Facts::of(arch).with_context(|| format!("nothing is known of {arch}"))?;
    let listing = Listing::read(bytes)?;
    listing.kernels.iter().filter_map(|k| estimate(k, &facts).transpose()).collect()
}

/// Names of the kernels of a code object, of any target, that have a loop with matrix instructions.
pub fn matrix_loops(bytes: &[u8]) -> anyhow::Result<BTreeSet<String>> {
    let listing = Listing::read(bytes)?;
    Ok(listing.kernels.into_iter().filter(|k| multiplies_in_a_loop(&k.code)).map(|k| k.name).collect())
}

fn multiplies_in_a_loop(code: &[Instruction]) -> bool {
    let loops: Vec<_> = code.iter().filter_map(|i| Some(i.target.filter(|t| *t <= i.address)?..=i.address)).collect();
    let mut matrix = code.iter().filter(|i| i.name.starts_with("v_mfma") || i.name.starts_with("v_wmma"));
    matrix.any(|i| loops.iter().any(|l| l.contains(&i.address)))
}

fn estimate(kernel: &Kernel, facts: &Facts) -> anyhow::Result<Option<Estimate>> {
    let Some(step) = flow::main_loop(&kernel.code) else { return Ok(None) };
    let waves = facts.waves(kernel);
    let cost = |of: fn(&Facts, &Instruction) -> u64| step.iter().map(|i| of(facts, i)).sum::<u64>();
    // Four SIMDs share what is not theirs alone.
    let simd = |clocks: u64| (clocks * waves).div_ceil(4);
    let matrix = mca::passes(&step, facts.arch)? * 4;
    // Where some loads are non-temporal, the others find what blocks share, in L2.
    let streamed = |i: &&listing::Instruction| i.text.contains(" nt") || i.text.contains(" slc");
    let some = step.iter().any(|i| streamed(&i));
    let bytes = step.iter().filter(|i| !some || streamed(i)).map(|i| facts::loaded(&i.name)).sum::<u64>();
    let chain = [facts::L2_LATENCY, facts::MEMORY_LATENCY].map(|latency| mca::clocks(&step, facts.arch, latency));
    let [near, far] = chain;
    Ok(Some(Estimate {
        entry: kernel.name.clone(),
        waves,
        flops: cost(|_, i| facts::flops(&i.name)) * waves,
        bytes: bytes * waves,
        matrix: simd(matrix),
        vector: simd(cost(|_, i| facts::vector_clocks(&i.name))),
        lds: facts.lds_clocks(&step, waves),
        l2: (cost(|_, i| facts::loaded(&i.name)) * waves).div_ceil(facts.l2),
        chain: [near?, far?],
    }))
}

/// Prints the estimates of code objects as they are: of files named, or of the committed ones whose name contains one of the words.
pub fn print(words: &[String]) -> anyhow::Result<()> {
    let mut paths: Vec<PathBuf> = words.iter().map(PathBuf::from).filter(|p| p.is_file()).collect();
    if paths.is_empty() {
        let named = |p: &PathBuf| {
            let name = p.file_name().unwrap_or_default().to_string_lossy();
            words.is_empty() || words.iter().any(|w| name.contains(w.as_str()))
        };
        let entries = std::fs::read_dir("kernels-hip/co").context("run this in the repository's root")?;
        paths = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
        paths.retain(named);
        paths.sort();
        ensure!(!paths.is_empty(), "no code object is called so");
    }
    println!(
        "estimated, not measured; clocks of a compute unit while each of its waves does one step of the main loop"
    );
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(facts) = ARCHS.iter().find(|a| name.contains(*a)).and_then(|a| Facts::of(a)) else { continue };
        println!("{name}");
        for e in object(&std::fs::read(&path)?, facts.arch).with_context(|| name)? {
            println!("  {}", e.words(&facts));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_instruction_counts_where_it_is_repeated() {
        let at = |address, name: &str, target| Instruction { address, name: name.into(), text: name.into(), target };
        let multiply = |address| at(address, "v_wmma_f32_16x16x16_bf16", None);
        let back = at(8, "s_cbranch_scc1", Some(4));
        assert!(multiplies_in_a_loop(&[at(0, "s_nop", None), multiply(4), back.clone()]));
        assert!(!multiplies_in_a_loop(&[multiply(0), at(4, "s_nop", None), back, multiply(12)]));
    }
}
