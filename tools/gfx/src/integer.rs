//! Vector arithmetic on integers of 32 and 16 bits.

use crate::instruction::{Instruction, Run, Step};
use crate::launch::Block;
use crate::wave::Wave;

#[inline(always)]
fn one(w: &mut Wave, i: &Instruction, f: impl Fn(u32) -> u32) -> Step {
    let a = w.lanes(&i.operands[1]);
    w.finish(i, a.map(f))
}

#[inline(always)]
fn two(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32) -> u32) -> Step {
    let (a, b) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]));
    w.finish(i, std::array::from_fn(|l| f(a[l], b[l])))
}

#[inline(always)]
fn three(w: &mut Wave, i: &Instruction, f: impl Fn(u32, u32, u32) -> u32) -> Step {
    let (a, b, c) = (w.lanes(&i.operands[1]), w.lanes(&i.operands[2]), w.lanes(&i.operands[3]));
    w.finish(i, std::array::from_fn(|l| f(a[l], b[l], c[l])))
}

macro_rules! run {
    ($kind:ident, $f:expr) => {{
        fn run(w: &mut Wave, i: &Instruction, _: &mut Block<'_>) -> Step {
            $kind(w, i, $f)
        }
        run as Run
    }};
}

fn signed(x: u32) -> i32 {
    x as i32
}

fn low24(x: u32) -> u32 {
    x & 0xff_ffff
}

fn low24_signed(x: u32) -> i32 {
    (x << 8) as i32 >> 8
}

/// One byte of the two words, 0 to 3 of the second; 12 is zero, from 13 on all ones.
fn permuted(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = u64::from(a) << 32 | u64::from(b);
    (0..4).fold(0, |out, n| {
        let byte = match selector >> (8 * n) & 0xff {
            s @ 0..=7 => (bytes >> (8 * s)) as u32 & 0xff,
            // The sign of a half.
            s @ 8..=11 => 0xff * ((bytes >> (16 * (s - 8) + 15)) as u32 & 1),
            12 => 0,
            _ => 0xff,
        };
        out | byte << (8 * n)
    })
}

pub fn find(name: &str) -> Option<Run> {
    moves_and_bits(name).or_else(|| sums(name)).or_else(|| short(name))
}

fn moves_and_bits(name: &str) -> Option<Run> {
    Some(match name {
        "v_mov_b32" | "v_accvgpr_read_b32" | "v_accvgpr_write_b32" => run!(one, |a| a),
        "v_not_b32" => run!(one, |a| !a),
        "v_bfrev_b32" => run!(one, u32::reverse_bits),
        "v_ffbl_b32" | "v_ctz_i32_b32" => run!(one, |a| if a == 0 { u32::MAX } else { a.trailing_zeros() }),
        "v_ffbh_u32" | "v_clz_i32_u32" => run!(one, |a| if a == 0 { u32::MAX } else { a.leading_zeros() }),
        "v_and_b32" => run!(two, |a, b| a & b),
        "v_or_b32" => run!(two, |a, b| a | b),
        "v_xor_b32" => run!(two, |a, b| a ^ b),
        "v_xnor_b32" => run!(two, |a, b| !(a ^ b)),
        "v_lshlrev_b32" => run!(two, |a, b| b << (a & 31)),
        "v_lshrrev_b32" => run!(two, |a, b| b >> (a & 31)),
        "v_ashrrev_i32" => run!(two, |a, b| (signed(b) >> (a & 31)) as u32),
        "v_bcnt_u32_b32" => run!(two, |a, b| a.count_ones().wrapping_add(b)),
        "v_bfe_u32" => run!(three, |a, b, c| {
            let width = c & 31;
            if width == 0 { 0 } else { a >> (b & 31) & (u32::MAX >> (32 - width)) }
        }),
        "v_bfe_i32" => run!(three, |a, b, c| {
            let width = c & 31;
            if width == 0 { 0 } else { (signed((a >> (b & 31)) << (32 - width)) >> (32 - width)) as u32 }
        }),
        "v_bfi_b32" => run!(three, |a, b, c| (a & b) | (!a & c)),
        "v_alignbit_b32" => run!(three, |a, b, c| ((u64::from(a) << 32 | u64::from(b)) >> (c & 31)) as u32),
        "v_alignbyte_b32" => run!(three, |a, b, c| ((u64::from(a) << 32 | u64::from(b)) >> (8 * (c & 3))) as u32),
        "v_perm_b32" => run!(three, permuted),
        "v_lshl_or_b32" => run!(three, |a, b, c| a << (b & 31) | c),
        "v_and_or_b32" => run!(three, |a, b, c| (a & b) | c),
        "v_or3_b32" => run!(three, |a, b, c| a | b | c),
        "v_bitop3_b32" => |w, i, _| {
            let table = i.modifiers.truth_table;
            three(w, i, |a, b, c| bitop3(table, a, b, c))
        },
        _ => return None,
    })
}

fn sums(name: &str) -> Option<Run> {
    Some(match name {
        "v_add_u32" | "v_add_nc_u32" => run!(two, u32::wrapping_add),
        "v_sub_u32" | "v_sub_nc_u32" => run!(two, u32::wrapping_sub),
        "v_subrev_u32" | "v_subrev_nc_u32" => run!(two, |a, b| b.wrapping_sub(a)),
        "v_mul_lo_u32" => run!(two, u32::wrapping_mul),
        "v_mul_hi_u32" => run!(two, |a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32),
        "v_mul_hi_i32" => run!(two, |a, b| ((i64::from(signed(a)) * i64::from(signed(b))) >> 32) as u32),
        "v_mul_u32_u24" => run!(two, |a, b| low24(a).wrapping_mul(low24(b))),
        "v_mul_i32_i24" => run!(two, |a, b| low24_signed(a).wrapping_mul(low24_signed(b)) as u32),
        "v_min_u32" => run!(two, Ord::min),
        "v_max_u32" => run!(two, Ord::max),
        "v_min_i32" => run!(two, |a, b| signed(a).min(signed(b)) as u32),
        "v_max_i32" => run!(two, |a, b| signed(a).max(signed(b)) as u32),
        "v_add3_u32" => run!(three, |a, b, c| a.wrapping_add(b).wrapping_add(c)),
        "v_lshl_add_u32" => run!(three, |a, b, c| (a << (b & 31)).wrapping_add(c)),
        "v_add_lshl_u32" => run!(three, |a, b, c| a.wrapping_add(b) << (c & 31)),
        "v_xad_u32" => run!(three, |a, b, c| (a ^ b).wrapping_add(c)),
        "v_mad_u32_u24" => run!(three, |a, b, c| low24(a).wrapping_mul(low24(b)).wrapping_add(c)),
        "v_mad_i32_i24" => {
            run!(three, |a, b, c| low24_signed(a).wrapping_mul(low24_signed(b)).wrapping_add(signed(c)) as u32)
        }
        "v_maxmin_i32" => run!(three, |a, b, c| signed(a).max(signed(b)).min(signed(c)) as u32),
        "v_minmax_i32" => run!(three, |a, b, c| signed(a).min(signed(b)).max(signed(c)) as u32),
        "v_maxmin_u32" => run!(three, |a, b, c| a.max(b).min(c)),
        "v_minmax_u32" => run!(three, |a, b, c| a.min(b).max(c)),
        "v_max3_u32" => run!(three, |a, b, c| a.max(b).max(c)),
        "v_min3_u32" => run!(three, |a, b, c| a.min(b).min(c)),
        "v_max3_i32" => run!(three, |a, b, c| signed(a).max(signed(b)).max(signed(c)) as u32),
        "v_min3_i32" => run!(three, |a, b, c| signed(a).min(signed(b)).min(signed(c)) as u32),
        "v_med3_i32" => run!(three, |a, b, c| {
            let (a, b, c) = (signed(a), signed(b), signed(c));
            a.max(b).min(a.min(b).max(c)) as u32
        }),
        _ => return None,
    })
}

/// Bit 4 a + 2 b + c of the table is the result for these bits.
fn bitop3(table: u32, a: u32, b: u32, c: u32) -> u32 {
    (0..8).filter(|n| table >> n & 1 == 1).fold(0, |out, n| {
        let pick = |x: u32, bit: u32| if n >> bit & 1 == 1 { x } else { !x };
        out | (pick(a, 2) & pick(b, 1) & pick(c, 0))
    })
}

/// Of 16 bits: the upper half of the result is zero on gfx9, elsewhere it stays.
pub fn short(name: &str) -> Option<Run> {
    Some(match name {
        // Nobody says what the upper half is: it is spoilt.
        "v_bitop3_b16" => |w, i, _| {
            let table = i.modifiers.truth_table;
            three(w, i, |a, b, c| bitop3(table, a, b, c) | 0xffff_0000)
        },
        "v_mov_b16" => run!(one, |a| a & 0xffff),
        "v_not_b16" => run!(one, |a| !a & 0xffff),
        "v_and_b16" => run!(two, |a, b| a & b & 0xffff),
        "v_or_b16" => run!(two, |a, b| (a | b) & 0xffff),
        "v_xor_b16" => run!(two, |a, b| (a ^ b) & 0xffff),
        "v_add_u16" | "v_add_nc_u16" => run!(two, |a, b| a.wrapping_add(b) & 0xffff),
        "v_sub_u16" | "v_sub_nc_u16" => run!(two, |a, b| a.wrapping_sub(b) & 0xffff),
        "v_lshlrev_b16" => run!(two, |a, b| b << (a & 15) & 0xffff),
        "v_lshrrev_b16" => run!(two, |a, b| (b & 0xffff) >> (a & 15)),
        "v_ashrrev_i16" => run!(two, |a, b| (i32::from(b as i16) >> (a & 15)) as u32 & 0xffff),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::bitop3;

    /// The numbers by which AMD's and NVIDIA's guides call functions of three bits: that of the operands 0xf0, 0xcc and 0xaa.
    #[test]
    fn truth_tables_are_those_of_the_guides() {
        let (a, b, c) = (0x0f3c_55aa, 0x1234_5678, 0x9abc_def0);
        for (table, want) in [(0x80, a & b & c), (0xfe, a | b | c), (0x96, a ^ b ^ c), (0xca, (a & b) | (!a & c))] {
            assert_eq!(bitop3(table, a, b, c), want, "{table:#x}");
        }
    }
}
