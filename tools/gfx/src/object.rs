//! Code objects: their kernels, and their instructions as LLVM's disassembler reads them.

use crate::decode::Program;
use crate::launch::Launch;
use crate::listing::lines;
use crate::wave::{TTMP, Wave};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The version of LLVM that compiles the kernels.
const TOOLS: [&str; 2] = ["llvm-objdump-22", "llvm-readelf-22"];

/// A code object, taken apart.
pub struct Object {
    /// Its instructions.
    pub program: Program,
    /// Its kernels.
    pub kernels: Vec<Kernel>,
    /// Its target.
    pub arch: &'static str,
}

/// An argument that the runtime fills in.
#[derive(Clone, Debug)]
struct Hidden {
    kind: String,
    offset: usize,
}

/// A kernel: where it starts and what it expects there.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Address of its first instruction.
    pub entry: u64,
    /// LDS that it names, in bytes.
    pub shared: u32,
    /// Bytes of its explicit arguments.
    pub explicit: usize,
    segment_bytes: usize,
    hidden: Vec<Hidden>,
    /// Block ids that it gets in scalar registers.
    ids: [bool; 3],
    /// Lanes of a wave.
    pub lanes: usize,
    /// The dispatcher leaves the block ids in registers of its own.
    ids_apart: bool,
    /// The scalar register that the address of the arguments is in.
    first: usize,
    /// The one that the first block id is in.
    first_id: usize,
}

impl Object {
    /// Reads a code object.
    ///
    /// # Errors
    /// What is wrong with it, an instruction that is not known, or that LLVM's tools are not installed.
    pub fn load(bytes: &[u8]) -> Result<Self, String> {
        let [code, notes] = text_of(bytes)?;
        Self::from_text(bytes, &code, &notes)
    }

    /// The same with the disassembler's text at hand, in which tests change instructions.
    pub fn from_text(bytes: &[u8], code: &str, notes: &str) -> Result<Self, String> {
        let arch = arch(bytes)?;
        let program = Program::new(&lines(code)?, arch)?;
        let kernels = described(notes)?.into_iter().map(|d| kernel(bytes, d, arch)).collect::<Result<_, _>>()?;
        Ok(Object { program, kernels, arch })
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|k| k.name == name)
    }
}

/// What the disassembler and the reader of notes print.
///
/// # Errors
/// They are not installed, or refuse the file.
pub fn text_of(bytes: &[u8]) -> Result<[String; 2], String> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("dropless-gfx-{}-{}.co", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, bytes).map_err(|e| format!("{}: {e}", file.display()))?;
    let said = print(TOOLS[0], "-d", &file).and_then(|code| Ok([code, print(TOOLS[1], "--notes", &file)?]));
    // A file that is left behind in a folder for temporary ones does no harm.
    let _ = std::fs::remove_file(&file);
    said
}

fn print(tool: &str, option: &str, file: &Path) -> Result<String, String> {
    let output = Command::new(tool).arg(option).arg(file).output().map_err(|e| format!("cannot start {tool}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the notes say of a kernel.
#[derive(Default)]
struct Described {
    symbol: String,
    /// Offset, bytes and kind.
    arguments: Vec<(usize, usize, String)>,
}

/// The notes are YAML of one shape: kernels at an indentation of two, arguments at six.
fn described(notes: &str) -> Result<Vec<Described>, String> {
    let (mut out, mut inside): (Vec<Described>, bool) = (Vec::new(), false);
    for line in notes.lines() {
        if !line.starts_with(' ') {
            inside = line.starts_with("amdhsa.kernels:");
        }
        if !inside || !line.starts_with(' ') {
            continue;
        }
        if line.starts_with("  - ") {
            out.push(Described::default());
        }
        let kernel = out.last_mut().ok_or("the notes describe no kernel")?;
        if line.starts_with("      - ") {
            kernel.arguments.push((0, 0, String::new()));
        }
        let Some((key, value)) = line.trim_start_matches([' ', '-']).split_once(':') else { continue };
        let value = value.trim();
        let number = || value.parse::<usize>().map_err(|_| format!("{key} is {value}"));
        match (key, kernel.arguments.last_mut()) {
            (".offset", Some(argument)) => argument.0 = number()?,
            (".size", Some(argument)) => argument.1 = number()?,
            (".value_kind", Some(argument)) => argument.2 = value.into(),
            (".symbol", _) => kernel.symbol = value.into(),
            _ => {}
        }
    }
    Ok(out)
}

fn kernel(elf: &[u8], said: Described, arch: &str) -> Result<Kernel, String> {
    let name = said.symbol.strip_suffix(".kd").ok_or("a kernel without a symbol")?.to_string();
    let (address, at) = symbol(elf, &said.symbol).ok_or_else(|| format!("{name} has no descriptor"))?;
    let word = |offset: usize| number(elf, at + offset, 4).map(|x| x as u32).ok_or("the file is cut off");
    let entry = address.wrapping_add(number(elf, at + 16, 8).ok_or("the file is cut off")?);
    let (second, properties) = (word(52)?, word(56)? & 0xffff);
    // Our kernels ask for the address of their arguments; gfx90a has the description of scratch memory in front of it.
    let first = if properties & 1 == 1 { 4 } else { 0 };
    // gfx11 gets more than it asks for: it must not start with fewer than 16.
    let asked = (second >> 1 & 31) as usize;
    if properties & 0x7e != 8 || asked < first + 2 || (asked > first + 2 && !arch.starts_with("gfx11")) {
        return Err(format!("{name} asks for registers that are not known: {properties:#x}, {second:#x}"));
    }
    // gfx11 and gfx12 have waves of 64 lanes too, with rules of their own.
    let lanes = if properties >> 10 & 1 == 1 { 32 } else { 64 };
    if lanes != if arch.starts_with("gfx9") { 64 } else { 32 } {
        return Err(format!("{name} has waves of {lanes} lanes, which are not known of {arch}"));
    }
    if word(4)? != 0 {
        return Err(format!("{name} asks for scratch memory"));
    }
    let explicit = said.arguments.iter().filter(|a| !a.2.starts_with("hidden_"));
    let hidden = said.arguments.iter().filter(|a| a.2.starts_with("hidden_"));
    Ok(Kernel {
        entry,
        shared: word(0)?,
        explicit: explicit.map(|a| a.0 + a.1).max().unwrap_or(0),
        segment_bytes: word(8)? as usize,
        hidden: hidden.map(|a| Hidden { kind: a.2.clone(), offset: a.0 }).collect(),
        ids: [7, 8, 9].map(|bit| second >> bit & 1 == 1),
        lanes,
        ids_apart: arch.starts_with("gfx12"),
        first,
        first_id: asked,
        name,
    })
}

impl Kernel {
    /// The argument segment: explicit arguments, then those that the runtime knows.
    ///
    /// # Errors
    /// An argument that is not known, or explicit ones of another size.
    pub fn segment(&self, launch: Launch, arguments: &[u8]) -> Result<Vec<u8>, String> {
        if arguments.len() != self.explicit {
            return Err(format!("{} takes {} bytes of arguments, got {}", self.name, self.explicit, arguments.len()));
        }
        let mut out = vec![0xf1; self.segment_bytes.max(arguments.len())];
        out[..arguments.len()].copy_from_slice(arguments);
        for Hidden { kind, offset } in &self.hidden {
            let value = match kind.as_str() {
                "hidden_block_count_x" => launch.grid[0].to_le_bytes().to_vec(),
                "hidden_block_count_y" => launch.grid[1].to_le_bytes().to_vec(),
                "hidden_block_count_z" => launch.grid[2].to_le_bytes().to_vec(),
                "hidden_group_size_x" => (launch.threads as u16).to_le_bytes().to_vec(),
                "hidden_group_size_y" | "hidden_group_size_z" => vec![1, 0],
                "hidden_remainder_x" | "hidden_remainder_y" | "hidden_remainder_z" => vec![0, 0],
                // The rest stays poison.
                _ => continue,
            };
            if let Some(to) = out.get_mut(*offset..offset + value.len()) {
                to.copy_from_slice(&value);
            }
        }
        Ok(out)
    }

    /// The registers that a wave starts with.
    pub fn start(&self, wave: &mut Wave, arguments: u64, id: [u32; 3]) {
        wave.set_pair(self.first, arguments);
        if self.ids_apart {
            (wave.scalar[TTMP + 9], wave.scalar[TTMP + 7]) = (id[0], id[1] | id[2] << 16);
        }
        let wanted = id.into_iter().zip(self.ids).filter(|(_, wanted)| *wanted && !self.ids_apart);
        for (at, (id, _)) in (self.first_id..).zip(wanted) {
            wave.scalar[at] = id;
        }
        let first = (wave.id * self.lanes) as u32;
        wave.vector[0] = std::array::from_fn(|l| first + l as u32);
    }
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |x, b| x << 8 | u64::from(*b)))
}

fn arch(elf: &[u8]) -> Result<&'static str, String> {
    // EF_AMDGPU_MACH in the flags of the header.
    match number(elf, 48, 4).map(|flags| flags & 0xff) {
        Some(0x3f) => Ok("gfx90a"),
        Some(0x4c) => Ok("gfx942"),
        Some(0x4f) => Ok("gfx950"),
        // gfx1101 has the same instructions.
        Some(0x41 | 0x46) => Ok("gfx1100"),
        Some(0x4e) => Ok("gfx1201"),
        Some(other) => Err(format!("made for another device than the five that are known: {other:#x}")),
        None => Err("no ELF file".into()),
    }
}

/// Address of a symbol, and where in the file it is.
fn symbol(elf: &[u8], wanted: &str) -> Option<(u64, usize)> {
    let (table, each, count) =
        (number(elf, 40, 8)? as usize, number(elf, 58, 2)? as usize, number(elf, 60, 2)? as usize);
    let section = |n: usize, offset: usize, width: usize| number(elf, table + n * each + offset, width);
    for n in (0..count).filter(|n| matches!(section(*n, 4, 4), Some(2 | 11))) {
        let (at, bytes, names) =
            (section(n, 24, 8)? as usize, section(n, 32, 8)? as usize, section(n, 40, 4)? as usize);
        let strings = section(names, 24, 8)? as usize;
        for entry in (at..at + bytes).step_by(24) {
            let from = strings + number(elf, entry, 4)? as usize;
            let name = elf.get(from..)?.split(|b| *b == 0).next()?;
            if name == wanted.as_bytes() {
                let (home, address) = (number(elf, entry + 6, 2)? as usize, number(elf, entry + 8, 8)?);
                let file = address.checked_sub(section(home, 16, 8)?)? + section(home, 24, 8)?;
                return Some((address, file as usize));
            }
        }
    }
    None
}
