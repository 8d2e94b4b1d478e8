//! Global memory: loads, stores and atomics of vector registers, loads of scalar ones.

use crate::instruction::{Flow, Instruction, Operand, Place, Run, Step};
use crate::launch::Block;
use crate::memory::Memory;
use crate::wave::{LANES, Lanes, Wave};

pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "s_load_dword" | "s_load_dwordx2" | "s_load_dwordx3" | "s_load_dwordx4" | "s_load_dwordx8"
        | "s_load_dwordx16" | "s_load_b32" | "s_load_b64" | "s_load_b96" | "s_load_b128" | "s_load_b256"
        | "s_load_b512" => scalar_load,
        "global_load_dword" | "global_load_b32" => load::<4, 1>,
        "global_load_dwordx2" | "global_load_b64" => load::<4, 2>,
        "global_load_dwordx3" | "global_load_b96" => load::<4, 3>,
        "global_load_dwordx4" | "global_load_b128" => load::<4, 4>,
        "global_load_ubyte" | "global_load_u8" => load::<1, 1>,
        "global_load_ushort" | "global_load_u16" => load::<2, 1>,
        "global_load_sbyte" | "global_load_i8" => load_signed::<1>,
        "global_load_sshort" | "global_load_i16" => load_signed::<2>,
        "global_load_short_d16" | "global_load_d16_b16" => load_half::<2, 0>,
        "global_load_short_d16_hi" | "global_load_d16_hi_b16" => load_half::<2, 16>,
        "global_load_ubyte_d16" | "global_load_d16_u8" => load_half::<1, 0>,
        "global_load_ubyte_d16_hi" | "global_load_d16_hi_u8" => load_half::<1, 16>,
        "global_load_sbyte_d16" | "global_load_d16_i8" => load_signed_half::<0>,
        "global_load_sbyte_d16_hi" | "global_load_d16_hi_i8" => load_signed_half::<16>,
        "global_store_dword" | "global_store_b32" => store::<4, 1>,
        "global_store_dwordx2" | "global_store_b64" => store::<4, 2>,
        "global_store_dwordx3" | "global_store_b96" => store::<4, 3>,
        "global_store_dwordx4" | "global_store_b128" => store::<4, 4>,
        "global_store_byte" | "global_store_b8" => store::<1, 1>,
        "global_store_short" | "global_store_b16" => store::<2, 1>,
        "global_store_short_d16_hi" | "global_store_d16_hi_b16" => store_high,
        "global_atomic_or" | "global_atomic_or_b32" => |w, i, b| update(w, i, b, |old, new| old | new),
        "global_atomic_add" | "global_atomic_add_u32" => |w, i, b| update(w, i, b, u32::wrapping_add),
        _ => return None,
    })
}

fn scalar_load(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [to, base, offset] = operands(i)?;
    let Place::Scalar(first) = to.place else { return Err("loads no scalar register".into()) };
    let offset = u64::from(w.scalar_of(offset)?).wrapping_add(i.modifiers.offset as u64);
    let address = w.scalar_pair_of(base)?.wrapping_add(offset);
    b.check(address, 4 * to.count as u64)?;
    for n in 0..to.count {
        w.scalar[first + n] = Memory::load(address + 4 * n as u64, 4);
    }
    w.waits.scalar(first, to.count);
    Ok(Flow::Next)
}

/// Addresses of the lanes that take part, each good for so many bytes.
fn addresses(
    w: &Wave,
    vector: &Operand,
    base: &Operand,
    offset: i64,
    bytes: u64,
    b: &mut Block<'_>,
) -> Result<[u64; LANES], String> {
    let mut out = match base.place {
        Place::Off => w.wide(vector),
        _ => {
            let base = w.scalar_pair_of(base)?;
            w.raw(vector, 0).map(|x| base.wrapping_add(u64::from(x)))
        }
    };
    let exec = w.exec();
    for (lane, address) in out.iter_mut().enumerate() {
        *address = address.wrapping_add(offset as u64);
        if exec >> lane & 1 == 1 {
            b.check(*address, bytes).map_err(|e| format!("lane {lane}: {e}"))?;
        }
    }
    Ok(out)
}

/// Loads words of `BYTES` into `COUNT` registers.
fn load<const BYTES: usize, const COUNT: usize>(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [to, vector, base] = operands(i)?;
    let at = addresses(w, vector, base, i.modifiers.offset, (BYTES * COUNT) as u64, b)?;
    for word in 0..COUNT {
        let value = each(w.exec(), &at, |a| Memory::load(a + (word * BYTES) as u64, BYTES));
        w.set_word(to, word, &value)?;
    }
    under_way(w, to)
}

fn load_signed<const BYTES: usize>(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [to, vector, base] = operands(i)?;
    let at = addresses(w, vector, base, i.modifiers.offset, BYTES as u64, b)?;
    let up = 32 - 8 * BYTES as u32;
    let value = each(w.exec(), &at, |a| ((Memory::load(a, BYTES) << up) as i32 >> up) as u32);
    w.set_word(to, 0, &value)?;
    under_way(w, to)
}

/// Loads one or two bytes into one half of a register and keeps the other.
fn load_half<const BYTES: usize, const SHIFT: u32>(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    into_half(w, i, b, BYTES, SHIFT, |loaded| loaded)
}

/// A byte with its sign likewise.
fn load_signed_half<const SHIFT: u32>(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    into_half(w, i, b, 1, SHIFT, with_sign)
}

fn into_half(
    w: &mut Wave,
    i: &Instruction,
    b: &mut Block<'_>,
    bytes: usize,
    shift: u32,
    half: impl Fn(u32) -> u32,
) -> Step {
    let [to, vector, base] = operands(i)?;
    let at = addresses(w, vector, base, i.modifiers.offset, bytes as u64, b)?;
    let mut value = each(w.exec(), &at, |a| half(Memory::load(a, bytes)) << shift);
    for (new, old) in value.iter_mut().zip(w.raw(to, 0)) {
        *new |= old & !(0xffff << shift);
    }
    w.set_word(to, 0, &value)?;
    under_way(w, to)
}

/// A byte as 16 bits.
fn with_sign(byte: u32) -> u32 {
    (byte as u8 as i8 as u32) & 0xffff
}

fn store<const BYTES: usize, const COUNT: usize>(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    store_shifted(w, i, b, BYTES, COUNT, 0)
}

fn store_high(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    store_shifted(w, i, b, 2, 1, 16)
}

fn store_shifted(w: &mut Wave, i: &Instruction, b: &mut Block<'_>, bytes: usize, count: usize, shift: u32) -> Step {
    let [vector, from, base] = operands(i)?;
    let at = addresses(w, vector, base, i.modifiers.offset, (bytes * count) as u64, b)?;
    let exec = w.exec();
    for word in 0..count {
        let value = w.raw(from, word);
        for lane in (0..LANES).filter(|l| exec >> l & 1 == 1) {
            Memory::store(at[lane] + (word * bytes) as u64, bytes, value[lane] >> shift);
        }
    }
    w.waits.store();
    Ok(Flow::Next)
}

/// Atomics that give nothing back.
fn update(w: &mut Wave, i: &Instruction, b: &mut Block<'_>, change: fn(u32, u32) -> u32) -> Step {
    let [vector, from, base] = operands(i)?;
    let at = addresses(w, vector, base, i.modifiers.offset, 4, b)?;
    let (exec, value) = (w.exec(), w.raw(from, 0));
    for lane in (0..LANES).filter(|l| exec >> l & 1 == 1) {
        if at[lane] % 4 != 0 {
            return Err(format!("lane {lane}: an atomic at {:#x}, which is not aligned", at[lane]));
        }
        Memory::update(at[lane], |old| change(old, value[lane]));
    }
    w.waits.store();
    Ok(Flow::Next)
}

fn each(exec: u64, at: &[u64; LANES], f: impl Fn(u64) -> u32) -> Lanes {
    std::array::from_fn(|l| if exec >> l & 1 == 1 { f(at[l]) } else { 0 })
}

fn under_way(w: &mut Wave, to: &Operand) -> Step {
    if let Place::Vector(first) = to.place {
        w.waits.vector(first, to.count);
    }
    Ok(Flow::Next)
}

/// The first operands, exactly as many as wanted.
pub fn operands<const COUNT: usize>(i: &Instruction) -> Result<[&Operand; COUNT], String> {
    let found: Vec<&Operand> = i.operands.iter().collect();
    found.try_into().map_err(|_| format!("has {} operands, {COUNT} are known", i.operands.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_in_a_half_has_its_sign() {
        assert_eq!([0x7f, 0x80, 0xff].map(with_sign), [0x7f, 0xff80, 0xffff]);
        for name in ["global_load_d16_i8", "global_load_d16_hi_i8", "global_load_sbyte_d16", "global_load_sbyte_d16_hi"]
        {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
