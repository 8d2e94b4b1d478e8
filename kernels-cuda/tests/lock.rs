//! Needs no GPU and no compiler: what is committed belongs together.

use dropless_kernels_cuda::ARTIFACTS;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

const REBUILD: &str = "rebuild with `cargo x kernels cuda`";

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
        locked.insert(path.to_string());
    }
    let mut present: BTreeSet<String> = ["variants.toml", "toolchain.txt", "src/artifacts.rs"].map(String::from).into();
    files(".", &["cu", "cuh", "ptx"], &mut present);
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
        files_of_rows.insert(format!("ptx/{}.{}.ptx", artifact.ops[0], artifact.variant));
        let (version, target) = (artifact.ptx_version, format!(".target sm_{}", row["arch"].as_str().unwrap()));
        assert!(artifact.ptx.contains(&format!("\n.version {}.{}\n", version / 10, version % 10)));
        assert!(artifact.ptx.contains(&target), "{} is not for {target}", artifact.variant);
        for entry in artifact.entries {
            assert!(artifact.ptx.contains(&format!(".entry {}(", entry.to_str().unwrap())), "{entry:?}");
        }
        assert_eq!(artifact.ptx.find('\0'), Some(artifact.ptx.len() - 1));
    }
    let mut present = BTreeSet::new();
    files("ptx", &["ptx"], &mut present);
    assert_eq!(present, files_of_rows, "{REBUILD}");
}

#[test]
fn hopper_attention_uses_its_own_instructions() {
    let prefill = ["wgmma.mma_async.sync.aligned.m64n", "cp.async.bulk.tensor.4d", "setmaxnreg.inc"];
    let decode = ["mma.sync.aligned.m16n8k16", "L2::128B.v4.u32", "st.shared::cluster", "griddepcontrol.wait"];
    for artifact in ARTIFACTS.iter().filter(|a| a.ops.contains(&"flash_attn") && a.sm == 90) {
        let wanted = if artifact.block_k > 0 { &prefill[..] } else { &decode[..] };
        for instruction in wanted {
            assert!(artifact.ptx.contains(instruction), "{}: no {instruction}", artifact.variant);
        }
    }
}

#[test]
fn hopper_grouped_gemm_uses_its_own_instructions() {
    let prefill = ["wgmma.mma_async.sync.aligned.m64n", "cp.async.bulk.tensor", "setmaxnreg.inc"];
    let staged = [
        "wgmma.mma_async.sync.aligned.m64n",
        "cp.async.bulk.tensor.3d.global",
        "stmatrix.sync.aligned",
        "griddepcontrol.wait",
    ];
    let decode = ["mma.sync.aligned.m16n8k16", "cp.async.bulk.shared", "mbarrier.try_wait"];
    let stream =
        ["mma.sync.aligned.m16n8k16", "cp.async.bulk.shared", "mbarrier.arrive.expect_tx", "griddepcontrol.wait"];
    // Weights straight to registers, 16 bytes a lane, and the combine in a cluster.
    let direct = [
        "mma.sync.aligned.m16n8k16",
        "ld.global.nc.L1::no_allocate.L2::256B.v4.u32",
        "st.shared::cluster",
        "griddepcontrol.wait",
    ];
    let rows = ["mma.sync.aligned.m16n8k16", "ld.global.nc.L1::no_allocate.L2::256B.v4.u32", "griddepcontrol.wait"];
    let split = [
        "wgmma.mma_async.sync.aligned",
        "cp.async.bulk.tensor.2d.shared::cluster.global",
        "ld.shared::cluster.v4.f32",
        "griddepcontrol.wait",
    ];
    for artifact in ARTIFACTS.iter().filter(|a| a.ops.contains(&"grouped_gemm") && a.sm == 90) {
        let wanted = match artifact.entries {
            e if e.contains(&c"grouped_gemm_decode") => &decode[..],
            e if e.contains(&c"grouped_gemm_stream") => &stream[..],
            e if e.contains(&c"grouped_gemm_direct") => &direct[..],
            e if e.contains(&c"grouped_gemm_split_bf16") => &split[..],
            e if e.contains(&c"rows_bf16_8") => &rows[..],
            e if e.contains(&c"vector_bf16_1") => &rows[1..],
            e if e.contains(&c"grouped_gather") && artifact.pdl => &staged[..],
            e if e.contains(&c"grouped_gather") => &prefill[..],
            _ => panic!("{}: say here which instructions are its own", artifact.variant),
        };
        for instruction in wanted {
            assert!(artifact.ptx.contains(instruction), "{}: no {instruction}", artifact.variant);
        }
    }
}
