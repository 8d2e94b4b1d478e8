//! A row's source as one text, for compilers that have no files: hipRTC.

use super::table::Variant;
use anyhow::Context;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where headers are, in this order, behind the folder of the file that names them.
const FOLDERS: [&str; 2] = ["include", "../kernels-cuda/include"];

/// The text: the row's numbers, the words of the kernels under names of their own, and the source with all it includes.
pub fn text(root: &Path, variant: &Variant) -> anyhow::Result<String> {
    let mut out = format!("// Made of {} by `cargo x kernels hip`. Do not edit.\n", variant.source);
    for (name, value) in variant.numbers() {
        out += &format!("#define {name} {value}\n");
    }
    let mut seen = BTreeSet::new();
    for file in ["include/rename.hip.h", "include/words.hip.h", &variant.source] {
        append(root, Path::new(file), &mut seen, &mut out)?;
    }
    Ok(out)
}

fn append(root: &Path, file: &Path, seen: &mut BTreeSet<PathBuf>, out: &mut String) -> anyhow::Result<()> {
    let path = root.join(file).canonicalize().with_context(|| format!("{}", file.display()))?;
    if !seen.insert(path.clone()) {
        return Ok(());
    }
    for line in std::fs::read_to_string(&path)?.lines() {
        let words = line.trim();
        match words.strip_prefix("#include ").and_then(|rest| rest.get(1..)?.split_once(['"', '>'])) {
            Some((name, _)) => {
                let beside = file.parent().filter(|_| words.contains('"')).map(|folder| folder.join(name));
                let mut all = beside.into_iter().chain(FOLDERS.map(|folder| Path::new(folder).join(name)));
                let found = all.find(|path| root.join(path).is_file());
                append(root, &found.with_context(|| format!("{}: no {name}", file.display()))?, seen, out)?;
            }
            None if words.is_empty() || words.starts_with("//") || words == "#pragma once" => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    Ok(())
}
