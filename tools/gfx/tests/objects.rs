//! The code objects of kernels-hip: every instruction in them is known, whether a case reaches it or not.

use dropless_gfx::object::Object;
use dropless_kernels_hip::ARTIFACTS;

#[test]
fn every_instruction_is_known() {
    let mut seen = 0;
    for artifact in ARTIFACTS {
        for object in artifact.objects {
            let read = Object::load(object.bytes)
                .unwrap_or_else(|e| panic!("{:?} {} {}: {e}", artifact.ops, artifact.variant, object.arch));
            assert_eq!(read.arch, object.arch);
            for entry in artifact.entries {
                let name = entry.to_str().unwrap();
                assert!(read.kernel(name).is_some(), "{} has no {name}", artifact.variant);
            }
            seen += read.program.instructions.len();
        }
    }
    assert!(seen > 10_000, "only {seen} instructions");
}

/// Matrix instructions of a kernel that are in a loop, and how many there are at least in those of its kind.
fn multiplications(object: &Object, entry: &str) -> usize {
    let first = object.program.index(object.kernel(entry).unwrap().entry).unwrap();
    let code = &object.program.instructions[first..];
    let code = &code[..code.iter().position(|i| i.text.starts_with("s_endpgm")).unwrap()];
    let is = |text: &str| text.starts_with("v_mfma_f32_") || text.starts_with("v_wmma_f32_16x16x16_");
    // A branch back, and what it goes back over.
    let loops = code.iter().enumerate().filter(|(at, i)| i.text.contains("branch") && i.target < first + at);
    let counts = loops.map(|(at, i)| code[i.target.saturating_sub(first)..at].iter().filter(|i| is(&i.text)).count());
    counts.max().unwrap_or(0)
}

#[test]
fn matrix_units_multiply_in_the_main_loops() {
    let mut seen = 0;
    for (variant, least) in [("mfma_prefill", 8), ("mfma", 4), ("mfma_decode", 8), ("wmma", 16), ("wmma_prefill", 32)] {
        for artifact in ARTIFACTS.iter().filter(|a| a.variant == variant) {
            for object in artifact.objects {
                let read = Object::load(object.bytes).unwrap();
                let entries = artifact.entries.iter().map(|e| e.to_str().unwrap());
                for entry in entries.filter(|e| *e != "grouped_finish" && !e.starts_with("combine")) {
                    let found = multiplications(&read, entry);
                    assert!(found >= least, "{entry} for {}: {found}", object.arch);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 24, "only {seen} kernels on matrix units");
}
