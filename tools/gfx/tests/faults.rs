//! Seeded faults in a real kernel, one after the other: each must be reported. The kernel is rms_norm, whose blocks add up
//! across waves in LDS.

use dropless_gfx::launch::{Launch, run};
use dropless_gfx::memory::Memory;
use dropless_gfx::object::{Object, text_of};
use dropless_kernels_hip::ARTIFACTS;

const ROWS: usize = 2;
const DIM: usize = 100;
const THREADS: u32 = 384;

/// The kernel, with its code as text.
struct Subject {
    bytes: &'static [u8],
    code: String,
    notes: String,
}

impl Subject {
    fn new(arch: &str) -> Self {
        let artifact = ARTIFACTS.iter().find(|a| a.ops == ["rms_norm"]).unwrap();
        let bytes = artifact.objects.iter().find(|o| o.arch == arch).unwrap().bytes;
        let [code, notes] = text_of(bytes).unwrap();
        Subject { bytes, code, notes }
    }

    /// What the kernel computes where its code is `code`, with `allocated` elements of the output.
    fn run(&self, code: &str, allocated: usize) -> Result<Vec<f32>, String> {
        let object = Object::from_text(self.bytes, code, &self.notes)?;
        let x: Vec<f32> = (0..ROWS * DIM).map(|i| (i % 13) as f32 - 6.0).collect();
        let weight: Vec<f32> = (0..DIM).map(|i| 1.0 + i as f32 / 64.0).collect();
        let mut y = vec![f32::NAN; ROWS * DIM];
        let mut memory = Memory::default();
        memory.add(x.as_ptr() as u64, 4 * x.len() as u64);
        memory.add(weight.as_ptr() as u64, 4 * weight.len() as u64);
        memory.add(y.as_mut_ptr() as u64, 4 * allocated as u64);
        // Rows of f32: an address, a stride, a type. x, residual, weight, sum, y; then rows, dim, eps, no residual.
        let rows = |address: u64| [address, DIM as u64, 0].map(u64::to_le_bytes).concat();
        let mut arguments = [x.as_ptr() as u64, 0, weight.as_ptr() as u64, 0, y.as_mut_ptr() as u64].map(rows).concat();
        arguments.extend([ROWS as u64, DIM as u64].map(u64::to_le_bytes).concat());
        arguments.extend([1e-5f32.to_bits(), 0].map(u32::to_le_bytes).concat());
        // One block for both rows: it comes back to the same LDS.
        let launch = Launch { grid: [1, 1, 1], threads: THREADS, shared: 0 };
        run(&object.program, object.kernel("rms_norm").unwrap(), launch, &arguments, &memory)?;
        Ok(y)
    }

    /// The code without its `nth` instruction of this name, which does nothing instead.
    fn without(&self, name: &str, nth: usize) -> Option<String> {
        let at = self.code.match_indices(&format!("\t{name}")).nth(nth)?.0 + 1;
        let end = at + self.code[at..].find("//")?;
        Some(format!("{}s_nop 0 {}", &self.code[..at], &self.code[end..]))
    }
}

fn expected() -> Vec<f64> {
    let x = |r: usize, c: usize| ((r * DIM + c) % 13) as f64 - 6.0;
    let mut out = Vec::new();
    for r in 0..ROWS {
        let mean = (0..DIM).map(|c| x(r, c).powi(2)).sum::<f64>() / DIM as f64;
        out.extend((0..DIM).map(|c| x(r, c) / (mean + 1e-5).sqrt() * (1.0 + c as f64 / 64.0)));
    }
    out
}

fn right(got: &[f32]) -> bool {
    got.iter().zip(expected()).all(|(g, e)| (f64::from(*g) - e).abs() <= 1e-5 * e.abs().max(1.0))
}

#[test]
fn as_compiled_it_is_right() {
    for arch in ["gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201"] {
        let subject = Subject::new(arch);
        assert!(right(&subject.run(&subject.code, ROWS * DIM).unwrap()), "{arch}");
    }
}

/// Every wait that this call reaches is needed by it: a scalar load, a vector load, or LDS in front of a barrier.
#[test]
fn a_missing_wait_is_reported() {
    for (arch, name) in [("gfx942", "s_waitcnt "), ("gfx1100", "s_waitcnt "), ("gfx1201", "s_wait_")] {
        waits_are_needed(&Subject::new(arch), name);
    }
}

fn waits_are_needed(subject: &Subject, name: &str) {
    let (mut reported, mut unneeded) = (0, 0);
    for nth in 0.. {
        let Some(code) = subject.without(name, nth) else { break };
        match subject.run(&code, ROWS * DIM) {
            Err(e) => {
                assert!(e.contains("waited for") || e.contains("LDS"), "wait {nth}: {e}");
                reported += 1;
            }
            // Not on the way of this call, or another one behind it waits for the same.
            Ok(y) => {
                assert!(right(&y), "wait {nth} was needed, and nobody noticed");
                unneeded += 1;
            }
        }
    }
    eprintln!("{reported} reported, {unneeded} not needed by this call");
    assert!(reported >= 6, "only {reported} of {} missing waits were reported", reported + unneeded);
}

#[test]
fn a_missing_barrier_is_reported() {
    // On gfx1201 it is two instructions, and without the first the second is refused.
    for (arch, name) in [("gfx942", "s_barrier"), ("gfx1100", "s_barrier"), ("gfx1201", "s_barrier_wait")] {
        let (subject, mut seen) = (Subject::new(arch), 0);
        while let Some(code) = subject.without(name, seen) {
            seen += 1;
            let fault = subject.run(&code, ROWS * DIM).expect_err("nobody noticed");
            assert!(fault.contains("LDS") || fault.contains("barrier"), "{arch} barrier {seen}: {fault}");
        }
        assert!(seen >= 1, "the kernel has no barrier");
    }
}

#[test]
fn memory_that_is_not_there_is_reported() {
    let subject = Subject::new("gfx942");
    let fault = subject.run(&subject.code, ROWS * DIM - 1).unwrap_err();
    assert!(fault.contains("in no allocation") && fault.contains("global_store"), "{fault}");
}

#[test]
fn an_unknown_instruction_is_an_error() {
    let subject = Subject::new("gfx942");
    let code = subject.code.replacen("\tv_mul_f32_e32 ", "\tv_mul_f99_e32 ", 1);
    assert_ne!(code, subject.code);
    assert!(subject.run(&code, ROWS * DIM).unwrap_err().contains("v_mul_f99_e32"));
}
