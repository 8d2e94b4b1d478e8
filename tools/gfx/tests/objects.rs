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

#[test]
fn matrix_units_multiply_in_the_main_loops() {
    let mut seen = 0;
    for artifact in ARTIFACTS.iter().filter(|a| a.variant == "mfma") {
        for object in artifact.objects {
            let read = Object::load(object.bytes).unwrap();
            for entry in artifact.entries.iter().filter(|e| e.to_bytes().starts_with(b"mfma_")) {
                let kernel = read.kernel(entry.to_str().unwrap()).unwrap();
                let first = read.program.index(kernel.entry).unwrap();
                let code = read.program.instructions[first..].iter().map(|i| i.text.as_str());
                let matrix =
                    code.take_while(|i| !i.starts_with("s_endpgm")).filter(|i| i.starts_with("v_mfma_f32_32x32x"));
                assert!(matrix.count() >= 4, "{entry:?} for {}", object.arch);
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no kernel on matrix units");
}
