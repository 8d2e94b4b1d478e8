//! What is known of the targets and not by llvm-mca. Each is the vendor's figure or, where it says so, an assumption.

use super::listing::{Instruction, Kernel};

/// Bytes of LDS that a compute unit reads or writes a clock; gfx950 reads twice as many.
const LDS_BYTES: u64 = 128;
/// Clocks from a load to its data. Assumed: no vendor gives them.
pub const L2_LATENCY: u64 = 500;
/// 800 ns, of memory under load. Assumed.
pub const MEMORY_LATENCY: u64 = 1680;
/// Assumed, without bank conflicts.
pub const LDS_LATENCY: u64 = 128;

/// A target.
pub struct Facts {
    pub arch: &'static str,
    /// Bytes of LDS of a compute unit.
    lds: u64,
    /// Bytes of LDS that a compute unit reads a clock.
    lds_read: u64,
    /// Bytes that L2 gives a compute unit a clock: 128 of each of its channels, shared by the units of a die.
    pub l2: u64,
    /// Bytes that memory gives a compute unit a clock.
    pub memory: f64,
}

impl Facts {
    pub fn of(arch: &str) -> Option<Facts> {
        let [cdna2, cdna3, cdna4] = super::ARCHS;
        // 32 channels for 110 units, 16 for 38, 16 for 32; a die of MI250X, MI300X and MI355X, all units at once.
        let all = [
            Facts { arch: cdna2, lds: 64 << 10, lds_read: LDS_BYTES, l2: 37, memory: 1638.0 / (110.0 * 1.7) },
            Facts { arch: cdna3, lds: 64 << 10, lds_read: LDS_BYTES, l2: 53, memory: 5300.0 / (304.0 * 2.1) },
            Facts { arch: cdna4, lds: 160 << 10, lds_read: 2 * LDS_BYTES, l2: 64, memory: 8000.0 / (256.0 * 2.4) },
        ];
        all.into_iter().find(|facts| facts.arch == arch)
    }

    /// Waves that a compute unit holds at once: eight a SIMD at most, 512 registers a lane, given out eight at a time, and the LDS;
    /// a block's waves are together or not at all.
    pub fn waves(&self, kernel: &Kernel) -> u64 {
        let waves = kernel.threads.div_ceil(64).max(1);
        let of_simd = (512 / kernel.registers.max(1).next_multiple_of(8)).min(8);
        let by_registers = of_simd * 4 / waves.next_multiple_of(if waves > 4 { 4 } else { 1 });
        let by_lds = self.lds / kernel.lds.max(1);
        waves * by_registers.min(by_lds).max(1)
    }
}

/// Operations of a matrix instruction: v_mfma_f32_32x32x8_bf16, v_mfma_scale_f32_16x16x128_f8f6f4, v_mfma_f32_4x4x4_16b_f16.
pub fn flops(name: &str) -> u64 {
    let Some(rest) = name.strip_prefix("v_mfma_").or_else(|| name.strip_prefix("v_smfmac_")) else { return 0 };
    let sizes = rest.split('_').find(|part| part.contains('x')).unwrap_or_default();
    // "4x4x4f16" of old names, "32x32x8bf16" of gfx90a's.
    let number = |s: &str| s.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap_or(1);
    let blocks = rest.split('_').find_map(|part| part.strip_suffix('b')?.parse::<u64>().ok()).unwrap_or(1);
    2 * blocks * sizes.split('x').map(number).product::<u64>()
}

/// Clocks that a vector instruction takes of its SIMD's 16 lanes; a matrix instruction takes four to start.
pub fn vector_clocks(name: &str) -> u64 {
    let quarter = ["v_exp_", "v_log_", "v_rcp_", "v_rsq_", "v_sqrt_", "v_sin_", "v_cos_", "v_mul_lo_u32", "v_mul_hi_"];
    match name {
        _ if !name.starts_with("v_") => 0,
        _ if quarter.iter().any(|q| name.starts_with(q)) || name.contains("_u64_u32") => 16,
        _ => 4,
    }
}

/// Bytes that a wave loads from memory.
pub fn loaded(name: &str) -> u64 {
    let load = ["global_load_", "buffer_load_", "flat_load_"].iter().find_map(|p| name.strip_prefix(p));
    load.map_or(0, |rest| 64 * element(rest.trim_start_matches("lds_")))
}

/// Bytes that a wave reads or writes in LDS. A lane takes a bank, four bytes, whatever it reads of it.
pub fn lds_bytes(name: &str) -> u64 {
    if let Some(rest) = name.strip_prefix("global_load_lds_").or_else(|| name.strip_prefix("buffer_load_lds_")) {
        return 64 * element(rest).max(4);
    }
    let Some(rest) = name.strip_prefix("ds_") else { return 0 };
    let two = if rest.starts_with("read2") || rest.starts_with("write2") { 2 } else { 1 };
    let kind = rest.split_once('_').map_or("", |(_, kind)| kind);
    64 * two * element(kind).max(4)
}

impl Facts {
    /// Clocks of LDS for what a number of waves reads and writes.
    pub fn lds_clocks(&self, step: &[Instruction], waves: u64) -> u64 {
        let (read, other): (Vec<_>, Vec<_>) = step.iter().partition(|i| i.name.starts_with("ds_read"));
        let bytes = |of: Vec<&Instruction>| of.iter().map(|i| lds_bytes(&i.name)).sum::<u64>() * waves;
        bytes(read).div_ceil(self.lds_read) + bytes(other).div_ceil(LDS_BYTES)
    }
}

/// Bytes of a lane, by the end of an instruction's name.
fn element(kind: &str) -> u64 {
    let sizes = [
        ("dwordx4", 16),
        ("b128", 16),
        ("dwordx3", 12),
        ("b96", 12),
        ("dwordx2", 8),
        ("tr_b64", 8),
        ("b64", 8),
        ("dword", 4),
        ("b32", 4),
        ("short", 2),
        ("ushort", 2),
        ("sshort", 2),
        ("u16", 2),
        ("i16", 2),
        ("b16", 2),
        ("ubyte", 1),
        ("sbyte", 1),
        ("u8", 1),
        ("i8", 1),
        ("b8", 1),
    ];
    sizes.into_iter().find(|(word, _)| kind.starts_with(word)).map_or(4, |(_, bytes)| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_by_their_names() {
        assert_eq!(flops("v_mfma_f32_32x32x8_bf16"), 16384);
        assert_eq!(flops("v_mfma_f32_32x32x8bf16_1k"), 16384);
        assert_eq!(flops("v_mfma_f32_16x16x32_f16"), 16384);
        assert_eq!(flops("v_mfma_scale_f32_16x16x128_f8f6f4"), 65536);
        assert_eq!(flops("v_mfma_f32_4x4x4_16b_f16"), 2048);
        assert_eq!(flops("v_fma_f32"), 0);
        assert_eq!(
            [loaded("global_load_dwordx4"), loaded("global_load_ushort"), loaded("ds_read_b128")],
            [1024, 128, 0]
        );
        assert_eq!([loaded("global_load_lds_dwordx4"), lds_bytes("global_load_lds_dwordx4")], [1024, 1024]);
        assert_eq!(
            [lds_bytes("ds_read_b128"), lds_bytes("ds_read2_b64"), lds_bytes("ds_write_b16")],
            [1024, 1024, 256]
        );
        assert_eq!(lds_bytes("ds_read_b64_tr_b16"), 512);
        assert_eq!(
            [vector_clocks("v_exp_f32_e32"), vector_clocks("v_add_f32_e32"), vector_clocks("s_nop")],
            [16, 4, 0]
        );
    }

    #[test]
    fn a_compute_unit_holds_what_fits() {
        let facts = Facts::of("gfx942").unwrap();
        let waves = |registers, lds, threads| {
            facts.waves(&Kernel { name: String::new(), code: Vec::new(), registers, lds, threads })
        };
        assert_eq!(waves(64, 0, 256), 32);
        assert_eq!(waves(256, 16 << 10, 256), 8);
        assert_eq!(waves(100, 40 << 10, 256), 4);
        assert_eq!(waves(512, 0, 64), 4);
        assert_eq!(waves(128, 0, 512), 16);
    }
}
