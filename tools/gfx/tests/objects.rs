//! The code objects of kernels-hip: every instruction in them is known, whether a case reaches it or not.

use dropless_gfx::object::Object;
use dropless_kernels_hip::ARTIFACTS;

#[test]
fn every_instruction_is_known() {
    let mut seen = 0;
    for artifact in ARTIFACTS {
        for object in artifact.objects.iter().filter(|o| o.arch.starts_with("gfx9")) {
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
