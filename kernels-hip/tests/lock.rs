//! Needs no GPU and no compiler: what is committed belongs together.

use dropless_kernels_hip::ARTIFACTS;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

const REBUILD: &str = "rebuild with `cargo x kernels hip`";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Paths under `folder` with one of the extensions, as LOCK writes them.
fn files(folder: &str, extensions: &[&str], into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        if path.is_dir() {
            files(&name, extensions, into);
        } else if path.extension().is_some_and(|e| extensions.contains(&e.to_str().unwrap())) {
            into.insert(name);
        }
    }
}

#[test]
fn lock_is_fresh() {
    let lock = std::fs::read_to_string(root().join("LOCK")).unwrap();
    let mut locked = BTreeSet::new();
    for line in lock.lines().filter(|l| !l.starts_with('#')) {
        let (wanted, path) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}; {REBUILD}"));
        let got: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(got, wanted, "{path} has changed; {REBUILD}");
        // What is shared with kernels-cuda is there whether a row uses it or not.
        if !path.contains("../") {
            locked.insert(path.to_string());
        }
    }
    let mut present: BTreeSet<String> =
        ["variants.toml", "toolchain.txt", "src/artifacts.rs", "src/estimates.rs"].map(String::from).into();
    files(".", &["h", "cuh", "hip", "co"], &mut present);
    let present: BTreeSet<String> = present.iter().map(|p| p.trim_start_matches("./").to_string()).collect();
    assert_eq!(locked, present, "files were added or removed; {REBUILD}");
}

#[test]
fn every_row_has_its_artifact_and_back() {
    let table: toml::Table = std::fs::read_to_string(root().join("variants.toml")).unwrap().parse().unwrap();
    let rows = table["variant"].as_array().unwrap();
    assert_eq!(rows.len(), ARTIFACTS.len(), "{REBUILD}");
    let mut files_of_rows = BTreeSet::new();
    for (row, artifact) in rows.iter().zip(ARTIFACTS) {
        let ops: Vec<&str> = row["ops"].as_array().unwrap().iter().map(|op| op.as_str().unwrap()).collect();
        assert_eq!((ops.as_slice(), row["name"].as_str().unwrap()), (artifact.ops, artifact.variant), "{REBUILD}");
        assert_eq!(row["warps"].as_integer().unwrap(), i64::from(artifact.warps), "{REBUILD}");
        let archs = row.get("archs").unwrap_or(&table["archs"]).as_array().unwrap();
        assert_eq!(archs.len(), artifact.objects.len(), "{REBUILD}");
        for (arch, object) in archs.iter().zip(artifact.objects) {
            assert_eq!(arch.as_str().unwrap(), object.arch, "{REBUILD}");
            assert!(object.bytes.starts_with(b"\x7fELF"), "{} {}", artifact.variant, object.arch);
            files_of_rows.insert(format!("co/{}.{}.{}.co", artifact.ops[0], artifact.variant, object.arch));
        }
    }
    let mut present = BTreeSet::new();
    files("co", &["co"], &mut present);
    assert_eq!(present, files_of_rows, "{REBUILD}");
}
