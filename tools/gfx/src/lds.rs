//! LDS, and who touched it since the last barrier.

use crate::global::operands;
use crate::instruction::{Flow, Instruction, Operand, Place, Run, Step};
use crate::launch::Block;
use crate::waits::LdsAccess;
use crate::wave::{LANES, Lanes, POISON, Wave};

/// Who touched a word last: the waves, as bits, and the interval between barriers in which they did.
#[derive(Clone, Copy, Default)]
struct Touched {
    interval: u32,
    readers: u32,
    writers: u32,
    /// Writers that did so in one step with others.
    atomics: u32,
}

/// The LDS of a block.
pub struct Lds {
    words: Vec<u32>,
    touched: Vec<Touched>,
    /// Barriers so far, and one.
    interval: u32,
}

impl Lds {
    /// So many bytes of poison.
    pub fn new(bytes: usize) -> Self {
        let words = bytes.div_ceil(4);
        Lds { words: vec![POISON; words], touched: vec![Touched::default(); words], interval: 1 }
    }

    /// All waves have reached the barrier.
    pub fn barrier(&mut self) {
        self.interval += 1;
    }

    fn touch(&mut self, wave: usize, word: usize, writes: bool, atomic: bool) -> Result<(), String> {
        let (interval, own) = (self.interval, 1u32 << (wave % 32));
        let t = &mut self.touched[word];
        if t.interval != interval {
            *t = Touched { interval, ..Touched::default() };
        }
        let others = if atomic { t.writers | t.readers } else { t.writers | t.atomics };
        let readers = if writes { t.readers } else { 0 };
        if (others | readers) & !own != 0 {
            let what = if writes { "writes" } else { "reads" };
            return Err(format!("{what} LDS word {word}, which another wave touches since the last barrier"));
        }
        match (writes, atomic) {
            (_, true) => t.atomics |= own,
            (true, false) => t.writers |= own,
            (false, false) => t.readers |= own,
        }
        Ok(())
    }

    /// What a wave has under way at a barrier may happen behind it.
    ///
    /// # Errors
    /// A word that another wave touches too.
    pub fn late(&mut self, wave: usize, access: &LdsAccess) -> Result<(), String> {
        for lane in (0..LANES).filter(|l| access.lanes >> l & 1 == 1) {
            let (first, last) = (access.address[lane] / 4, (access.address[lane] + access.bytes - 1) / 4);
            for word in first..=last {
                self.touch(wave, word as usize, access.writes, false)
                    .map_err(|e| format!("an LDS access that no lgkmcnt (dscnt) waited for before the barrier {e}"))?;
            }
        }
        Ok(())
    }

    fn check(&self, address: u32, bytes: u32) -> Result<(), String> {
        let end = u64::from(address) + u64::from(bytes);
        if end > 4 * self.words.len() as u64 {
            return Err(format!("{bytes} bytes of LDS at {address}, there are {}", 4 * self.words.len()));
        }
        if !address.is_multiple_of(bytes.min(4)) {
            return Err(format!("{bytes} bytes of LDS at {address}, which is not aligned"));
        }
        Ok(())
    }

    fn get(&self, address: u32, bytes: u32) -> u32 {
        let word = self.words[address as usize / 4] >> (8 * (address % 4));
        if bytes == 4 { word } else { word & ((1 << (8 * bytes)) - 1) }
    }

    fn put(&mut self, address: u32, bytes: u32, value: u32) {
        let (word, shift) = (&mut self.words[address as usize / 4], 8 * (address % 4));
        let mask = if bytes == 4 { u32::MAX } else { ((1 << (8 * bytes)) - 1) << shift };
        *word = (*word & !mask) | (value << shift & mask);
    }
}

pub(crate) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "ds_read_b32" | "ds_load_b32" => read::<4, 1>,
        "ds_read_b64" | "ds_load_b64" => read::<4, 2>,
        "ds_read_b96" | "ds_load_b96" => read::<4, 3>,
        "ds_read_b128" | "ds_load_b128" => read::<4, 4>,
        "ds_read_u16" | "ds_load_u16" => read::<2, 1>,
        "ds_read_u8" | "ds_load_u8" => read::<1, 1>,
        "ds_read2_b32" | "ds_load_2addr_b32" => |w, i, b| read_two(w, i, b, 4, 1),
        "ds_read2_b64" | "ds_load_2addr_b64" => |w, i, b| read_two(w, i, b, 8, 2),
        "ds_read2st64_b32" | "ds_load_2addr_stride64_b32" => |w, i, b| read_two(w, i, b, 256, 1),
        "ds_read2st64_b64" | "ds_load_2addr_stride64_b64" => |w, i, b| read_two(w, i, b, 512, 2),
        "ds_write_b32" | "ds_store_b32" => write::<4, 1>,
        "ds_write_b64" | "ds_store_b64" => write::<4, 2>,
        "ds_write_b96" | "ds_store_b96" => write::<4, 3>,
        "ds_write_b128" | "ds_store_b128" => write::<4, 4>,
        "ds_write_b16" | "ds_store_b16" => write::<2, 1>,
        "ds_write_b8" | "ds_store_b8" => write::<1, 1>,
        "ds_write_b16_d16_hi" | "ds_store_b16_d16_hi" => write_high,
        "ds_write2_b32" | "ds_store_2addr_b32" => |w, i, b| write_two(w, i, b, 4, 1),
        "ds_write2_b64" | "ds_store_2addr_b64" => |w, i, b| write_two(w, i, b, 8, 2),
        "ds_write2st64_b32" | "ds_store_2addr_stride64_b32" => |w, i, b| write_two(w, i, b, 256, 1),
        "ds_write2st64_b64" | "ds_store_2addr_stride64_b64" => |w, i, b| write_two(w, i, b, 512, 2),
        "ds_add_u32" => add,
        _ => return None,
    })
}

/// The lanes' addresses, checked and touched.
fn access(
    w: &Wave,
    b: &mut Block<'_>,
    address: &Operand,
    offset: u32,
    bytes: u32,
    writes: bool,
) -> Result<LdsAccess, String> {
    if w.signalled.is_some() {
        return Err("between the signal and the wait of a barrier nobody knows who is behind it".into());
    }
    let access =
        LdsAccess { address: w.raw(address, 0).map(|a| a.wrapping_add(offset)), lanes: w.exec(), bytes, writes };
    for lane in (0..LANES).filter(|l| access.lanes >> l & 1 == 1) {
        let at = access.address[lane];
        b.lds.check(at, bytes).map_err(|e| format!("lane {lane}: {e}"))?;
        for word in at / 4..=(at + bytes - 1) / 4 {
            b.lds.touch(w.id, word as usize, writes, false).map_err(|e| format!("lane {lane} {e}"))?;
        }
    }
    Ok(access)
}

fn gather(b: &Block<'_>, from: &LdsAccess, skip: u32, bytes: u32) -> Lanes {
    let one = |l: usize| if from.lanes >> l & 1 == 1 { b.lds.get(from.address[l] + skip, bytes) } else { 0 };
    std::array::from_fn(one)
}

fn scatter(b: &mut Block<'_>, to: &LdsAccess, skip: u32, bytes: u32, value: &Lanes) {
    for lane in (0..LANES).filter(|l| to.lanes >> l & 1 == 1) {
        b.lds.put(to.address[lane] + skip, bytes, value[lane]);
    }
}

fn filled(to: &Operand) -> (usize, usize) {
    if let Place::Vector(first) = to.place { (first, to.count) } else { (0, 0) }
}

fn read<const BYTES: u32, const COUNT: usize>(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [to, address] = operands(i)?;
    let from = access(w, b, address, i.modifiers.offset as u32, BYTES * COUNT as u32, false)?;
    for word in 0..COUNT {
        w.set_word(to, word, &gather(b, &from, 4 * word as u32, BYTES))?;
    }
    let (first, count) = filled(to);
    w.waits.lds(first, count, vec![from]);
    Ok(Flow::Next)
}

/// Two reads, one access: both are made before either result is written.
fn read_two(w: &mut Wave, i: &Instruction, b: &mut Block<'_>, step: u32, count: usize) -> Step {
    let [to, address] = operands(i)?;
    let (mut values, mut accesses) = (Vec::new(), Vec::new());
    for offset in i.modifiers.offsets {
        let from = access(w, b, address, offset * step, 4 * count as u32, false)?;
        values.extend((0..count).map(|word| gather(b, &from, 4 * word as u32, 4)));
        accesses.push(from);
    }
    for (word, value) in values.iter().enumerate() {
        w.set_word(to, word, value)?;
    }
    let (first, count) = filled(to);
    w.waits.lds(first, count, accesses);
    Ok(Flow::Next)
}

fn write<const BYTES: u32, const COUNT: usize>(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [address, from] = operands(i)?;
    let to = access(w, b, address, i.modifiers.offset as u32, BYTES * COUNT as u32, true)?;
    for word in 0..COUNT {
        scatter(b, &to, 4 * word as u32, BYTES, &w.raw(from, word));
    }
    w.waits.lds(0, 0, vec![to]);
    Ok(Flow::Next)
}

fn write_high(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [address, from] = operands(i)?;
    let to = access(w, b, address, i.modifiers.offset as u32, 2, true)?;
    scatter(b, &to, 0, 2, &w.raw(from, 0).map(|x| x >> 16));
    w.waits.lds(0, 0, vec![to]);
    Ok(Flow::Next)
}

fn write_two(w: &mut Wave, i: &Instruction, b: &mut Block<'_>, step: u32, count: usize) -> Step {
    let [address, first, second] = operands(i)?;
    let mut accesses = Vec::new();
    for (from, offset) in [first, second].into_iter().zip(i.modifiers.offsets) {
        let to = access(w, b, address, offset * step, 4 * count as u32, true)?;
        for word in 0..count {
            scatter(b, &to, 4 * word as u32, 4, &w.raw(from, word));
        }
        accesses.push(to);
    }
    w.waits.lds(0, 0, accesses);
    Ok(Flow::Next)
}

/// Adds in one step; lanes one after the other.
fn add(w: &mut Wave, i: &Instruction, b: &mut Block<'_>) -> Step {
    let [address, from] = operands(i)?;
    let (exec, at, value) = (w.exec(), w.raw(address, 0), w.raw(from, 0));
    for lane in (0..LANES).filter(|l| exec >> l & 1 == 1) {
        let at = at[lane].wrapping_add(i.modifiers.offset as u32);
        b.lds.check(at, 4).map_err(|e| format!("lane {lane}: {e}"))?;
        b.lds.touch(w.id, at as usize / 4, true, true).map_err(|e| format!("lane {lane} {e}"))?;
        let sum = b.lds.get(at, 4).wrapping_add(value[lane]);
        b.lds.put(at, 4, sum);
    }
    w.waits.lds(0, 0, Vec::new());
    Ok(Flow::Next)
}
