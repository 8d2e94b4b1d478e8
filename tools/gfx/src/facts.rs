//! Facts about instructions, one a line in `facts/`, from AMD's instruction set guides: `code | before | after`.
//!
//! Of vector registers that are set every lane gets the value, of those that are looked at lane 0 counts, or the one behind a point.
//! `mem` is the address of 64 words whose bytes are 0, 1, 2, 3, ...; `mem3` is the word at 3. A line in brackets names the target of what follows.

use crate::launch::alone_in;
use crate::memory::Memory;
use crate::object::Object;
use crate::wave::{EXEC, VCC, Wave};
use dropless_kernels_hip::ARTIFACTS;
use std::collections::BTreeSet;

const FACTS: [(&str, &str); 6] = [
    ("scalar", include_str!("../facts/scalar.txt")),
    ("integer", include_str!("../facts/integer.txt")),
    ("float", include_str!("../facts/float.txt")),
    ("compare", include_str!("../facts/compare.txt")),
    ("memory", include_str!("../facts/memory.txt")),
    ("rdna", include_str!("../facts/rdna.txt")),
];

fn number(text: &str) -> u64 {
    let negative = text.strip_prefix('-');
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None if text.contains('.') || ["inf", "-inf", "nan"].contains(&text) => {
            u64::from(text.parse::<f32>().unwrap().to_bits())
        }
        None => negative.map_or_else(|| text.parse().unwrap(), |n| n.parse::<u64>().unwrap().wrapping_neg()),
    }
}

/// `s3`, `v[2:3]`, `a4`, with a lane behind a point where one is meant: the registers, and the lane.
fn registers(name: &str) -> (usize, usize, Option<usize>) {
    let (name, lane) = name.split_once('.').map_or((name, None), |(name, lane)| (name, Some(lane.parse().unwrap())));
    let (base, rest) = (if name.starts_with('a') { 256 } else { 0 }, &name[1..]);
    let (first, last) = match rest.strip_prefix('[') {
        Some(range) => range.trim_end_matches(']').split_once(':').unwrap(),
        None => (rest, rest),
    };
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    (base + first, last - first + 1, lane)
}

fn set(wave: &mut Wave, name: &str, value: u64) {
    let words = [value as u32, (value >> 32) as u32];
    match name {
        "scc" => wave.condition = value != 0,
        "vcc" => wave.set_pair(VCC, value),
        "exec" => wave.set_pair(EXEC, value),
        _ => {
            let (first, count, lane) = registers(name);
            for (i, word) in words.into_iter().enumerate().take(count) {
                match (name.starts_with('s'), lane) {
                    (true, _) => wave.scalar[first + i] = word,
                    (_, Some(lane)) => wave.vector[first + i][lane] = word,
                    (_, None) => wave.vector[first + i] = [word; 64],
                }
            }
        }
    }
}

fn get(wave: &Wave, name: &str) -> u64 {
    match name {
        "scc" => u64::from(wave.condition),
        "vcc" => wave.vcc(),
        "exec" => wave.exec(),
        _ => {
            let (first, count, lane) = registers(name);
            let word = |i: usize| match name.starts_with('s') {
                true => wave.scalar[first + i],
                false => wave.vector[first + i][lane.unwrap_or(0)],
            };
            u64::from(word(0)) | if count > 1 { u64::from(word(1)) << 32 } else { 0 }
        }
    }
}

/// What a value is where registers of as many words as `name` names hold it.
fn cut(name: &str, value: u64) -> u64 {
    let wide = matches!(name, "vcc" | "exec") || (name.contains('[') && !name.starts_with("mem"));
    if wide { value } else { value & u64::from(u32::MAX) }
}

fn holds(arch: &str, line: &str) -> Result<(), String> {
    let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let [code, before, after] = parts[..] else { return Err("has not three parts".into()) };
    let code: Vec<&str> = code.split(';').map(str::trim).collect();
    let mut words: Vec<u32> = (0..64u32).map(|i| u32::from_le_bytes([0, 1, 2, 3].map(|b| (4 * i + b) as u8))).collect();
    let address = words.as_mut_ptr() as u64;
    let mut memory = Memory::new();
    memory.add(address, 256);
    let pairs = |text: &str| -> Vec<(String, String)> {
        text.split_whitespace().map(|w| w.split_once('=').map(|(a, b)| (a.into(), b.into())).unwrap()).collect()
    };
    let wave = alone_in(arch, &code, &memory, |wave| {
        for (name, value) in pairs(before) {
            set(wave, &name, if value == "mem" { address } else { number(&value) });
        }
    })?;
    for (name, value) in pairs(after) {
        let got = match name.strip_prefix("mem") {
            // SAFETY: in bounds; volatile, because the interpreter wrote through the address.
            Some(i) => u64::from(unsafe { words.as_ptr().add(i.parse().unwrap()).read_volatile() }),
            None => get(&wave, &name),
        };
        if got != cut(&name, number(&value)) {
            return Err(format!("{name} is {got:#x}, not {value}"));
        }
    }
    Ok(())
}

fn lines() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    FACTS.iter().flat_map(|(file, text)| {
        let mut arch = "gfx942";
        text.lines().filter_map(move |line| match line.strip_prefix('[') {
            Some(name) => {
                arch = name.trim_end_matches(']');
                None
            }
            None if line.is_empty() || line.starts_with('#') => None,
            None => Some((*file, arch, line)),
        })
    })
}

#[test]
fn instructions_do_what_the_guides_say() {
    let wrong: Vec<String> = lines()
        .filter_map(|(file, arch, line)| holds(arch, line).err().map(|e| format!("{file}, {arch}: {line}: {e}")))
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), lines().count());
}

/// A name without how it is encoded.
fn plain(name: &str) -> &str {
    ["_e32", "_e64", "_sdwa"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name)
}

#[test]
fn every_instruction_of_our_kernels_is_pinned() {
    let names = |code: &'static str| code.split([';', ':']).filter_map(|i| i.split_whitespace().next()).map(plain);
    let known: BTreeSet<&str> = lines().flat_map(|(_, _, line)| names(line.split(" | ").next().unwrap())).collect();
    let mut missing = BTreeSet::new();
    for object in ARTIFACTS.iter().flat_map(|a| a.objects) {
        let read = Object::load(object.bytes).unwrap();
        for i in &read.program.instructions {
            for half in i.text.split("::") {
                let name = plain(half.split_whitespace().next().unwrap_or_default());
                // Matrix instructions have tests of their own layouts.
                let matrix = name.starts_with("v_mfma_") || name.starts_with("v_wmma_");
                // Behind the last instruction, never run.
                if !matrix && name != "s_code_end" && !known.contains(name) {
                    missing.insert(name.to_string());
                }
            }
        }
    }
    assert!(missing.is_empty(), "{} without a fact: {missing:?}", missing.len());
}
