//! Seeded faults: a kernel is changed as it is loaded, so that a test sees whether anybody notices.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::sync::{Mutex, PoisonError};

/// What becomes of the `nth` instruction of a kernel whose name starts with `instruction`.
struct Seed {
    kernel: String,
    instruction: String,
    nth: usize,
}

static SEED: Mutex<Option<Seed>> = Mutex::new(None);

/// Changes one instruction of modules that are loaded from now on and have this kernel: the `nth` whose name starts with
/// `instruction` does nothing, or, if it is a matrix instruction, multiplies the other way round. A null kernel: none.
///
/// # Safety
/// The names are null or end with a NUL.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn droplessSeedFault(kernel: *const c_char, instruction: *const c_char, nth: c_uint) -> c_int {
    // SAFETY: the caller's promise.
    let text = |name: *const c_char| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    let seed = || Seed { kernel: text(kernel), instruction: text(instruction), nth: nth as usize };
    let none = kernel.is_null() || instruction.is_null();
    *SEED.lock().unwrap_or_else(PoisonError::into_inner) = (!none).then(seed);
    super::SUCCESS
}

/// The disassembly with the fault, if it has the kernel.
///
/// # Errors
/// The kernel has not that many instructions of the name.
pub(crate) fn sow(code: String) -> Result<String, String> {
    let seed = SEED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Seed { kernel, instruction, nth }) = seed.as_ref() else { return Ok(code) };
    let Some(start) = code.find(&format!("<{kernel}>:")) else { return Ok(code) };
    let end = code[start..].find("\n\n").map_or(code.len(), |n| start + n);
    let found = code[start..end].match_indices(&format!("\t{instruction}")).nth(*nth);
    let at = start + found.ok_or_else(|| format!("{kernel} has no {instruction} number {nth}"))?.0 + 1;
    let end = at + code[at..].find("//").unwrap_or(0);
    let line = &code[at..end];
    let changed = if line.starts_with("v_mfma") { swapped(line) } else { "s_nop 0 ".into() };
    eprintln!("gfx: {kernel}: {} becomes {}", line.trim(), changed.trim());
    Ok(format!("{}{changed}{}", &code[..at], &code[end..]))
}

/// A matrix instruction whose factors have changed places: the layout of its result is the transposed one's.
fn swapped(line: &str) -> String {
    let mut parts: Vec<&str> = line.trim_end().split(", ").collect();
    if parts.len() > 2 {
        parts.swap(1, 2);
    }
    parts.join(", ") + " "
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_change_places() {
        let line = "v_mfma_f32_32x32x8_bf16 a[0:15], v[0:1], v[2:3], a[0:15]   ";
        assert_eq!(swapped(line), "v_mfma_f32_32x32x8_bf16 a[0:15], v[2:3], v[0:1], a[0:15] ");
    }
}
