//! The disassembler's text, taken apart.

use crate::instruction::{Modifiers, Operand, Part, Place, Unused};
use crate::wave::{EXEC, M0, TTMP, VCC};

/// A line of a listing.
pub struct Line<'a> {
    pub address: u64,
    pub name: &'a str,
    pub arguments: &'a str,
}

/// Lines of the disassembly that are instructions: `\tname arguments // address: words`.
pub fn lines(text: &str) -> Result<Vec<Line<'_>>, String> {
    let mut out = Vec::new();
    for line in text.lines().filter(|l| l.starts_with('\t')) {
        let (code, comment) = line.rsplit_once("// ").ok_or_else(|| format!("no address: {line}"))?;
        let (address, _) = comment.split_once(':').ok_or_else(|| format!("no address: {line}"))?;
        let address = u64::from_str_radix(address.trim(), 16).map_err(|_| format!("no address: {line}"))?;
        let code = code.trim();
        let (name, arguments) = code.split_once(' ').unwrap_or((code, ""));
        out.push(Line { address, name, arguments: arguments.trim() });
    }
    Ok(out)
}

/// Operands and modifiers. Anything not understood is an error.
pub fn arguments(name: &str, text: &str) -> Result<(Vec<Operand>, Modifiers), String> {
    let mut modifiers = Modifiers { high: [1; 3], ..Modifiers::default() };
    if name == "s_waitcnt" {
        for word in text.split_whitespace().filter(|w| *w != "&") {
            wait(&mut modifiers, word)?;
        }
        return Ok((Vec::new(), modifiers));
    }
    if let Some(counters) = name.strip_prefix("s_wait_") {
        modifiers.waits = named_waits(counters, text)?;
        return Ok((Vec::new(), modifiers));
    }
    let (mut operands, mut parts) = (Vec::new(), [Part::WHOLE; 2]);
    for piece in outside_brackets(text) {
        for (i, word) in piece.split_whitespace().enumerate() {
            match (i, operand(word)) {
                (0, Some(found)) => operands.push(found),
                _ => modifier(&mut modifiers, &mut parts, word)?,
            }
        }
    }
    // Sources of sub-dword addressing follow the destination, and the carry out where there is one.
    let destinations = if name.contains("_co_") { 2 } else { 1 };
    for (operand, part) in operands.iter_mut().skip(destinations).zip(parts).filter(|(_, part)| *part != Part::WHOLE) {
        operand.part = part;
    }
    // Halves that are written at their registers are written down once more behind them.
    if operands.iter().any(|o| o.part.bits == 16) && modifiers.destination.is_none() {
        modifiers.low = [0; 3];
    }
    Ok((operands, modifiers))
}

fn outside_brackets(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut out) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push(&text[from..]);
    out.retain(|piece| !piece.trim().is_empty());
    out
}

fn wait(modifiers: &mut Modifiers, word: &str) -> Result<(), String> {
    let unknown = || format!("unknown counter {word}");
    let (name, rest) = word.split_once('(').ok_or_else(unknown)?;
    let count: u32 = rest.trim_end_matches(')').parse().map_err(|_| unknown())?;
    match name {
        "vmcnt" => modifiers.waits[0] = Some(count),
        "lgkmcnt" => modifiers.waits[1] = Some(count),
        "expcnt" => {} // exports, of which there are none
        _ => return Err(unknown()),
    }
    Ok(())
}

/// Counters that have instructions of their own, alone or two in one: the second has the low bits.
fn named_waits(counters: &str, text: &str) -> Result<[Option<u32>; 4], String> {
    let unknown = || format!("unknown count {text}");
    let count = u32::from_str_radix(text.strip_prefix("0x").ok_or_else(unknown)?, 16).map_err(|_| unknown())?;
    Ok(match counters {
        "loadcnt" => [Some(count), None, None, None],
        "dscnt" => [None, None, Some(count), None],
        "kmcnt" => [None, None, None, Some(count)],
        "loadcnt_dscnt" => [Some(count >> 8), None, Some(count & 0xff), None],
        // Nothing here waits for stores.
        "storecnt_dscnt" => [None, None, Some(count & 0xff), None],
        _ => return Err(unknown()),
    })
}

fn operand(word: &str) -> Option<Operand> {
    let (mut word, mut negative, mut absolute, mut extended) = (word, false, false, false);
    if let Some(rest) = word.strip_prefix('-').filter(|r| !r.starts_with(|c: char| c.is_ascii_digit())) {
        (word, negative) = (rest, true);
    }
    if let Some(inner) = word.strip_prefix('|') {
        (word, absolute) = (inner.strip_suffix('|')?, true);
    }
    if let Some(inner) = word.strip_prefix("sext(") {
        (word, extended) = (inner.strip_suffix(')')?, true);
    }
    let (word, part) = match word.strip_prefix('v').and_then(|w| w.rsplit_once('.')) {
        Some((_, "l")) => (&word[..word.len() - 2], Part::LOW),
        Some((_, "h")) => (&word[..word.len() - 2], Part::HIGH),
        _ => (word, Part::WHOLE),
    };
    let (place, count) = place(word)?;
    Some(Operand { negative, absolute, extended, part, ..Operand::plain(place, count) })
}

fn place(word: &str) -> Option<(Place, usize)> {
    Some(match word {
        "vcc" => (Place::Scalar(VCC), 2),
        "vcc_lo" => (Place::Scalar(VCC), 1),
        "vcc_hi" => (Place::Scalar(VCC + 1), 1),
        "exec" => (Place::Scalar(EXEC), 2),
        "exec_lo" => (Place::Scalar(EXEC), 1),
        "exec_hi" => (Place::Scalar(EXEC + 1), 1),
        "m0" => (Place::Scalar(M0), 1),
        "off" => (Place::Off, 0),
        "null" => (Place::Null, 1),
        _ => return register(word).or_else(|| constant(word)),
    })
}

fn register(word: &str) -> Option<(Place, usize)> {
    let (kind, numbers) = word.split_at(if word.starts_with("ttmp") { 4 } else { 1 });
    let (first, count) = match numbers.strip_prefix('[') {
        Some(range) => {
            let (first, last) = range.strip_suffix(']')?.split_once(':')?;
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            (first, (last + 1).checked_sub(first)?)
        }
        None => (numbers.parse().ok()?, 1),
    };
    let place = match kind {
        "s" if first + count <= VCC => Place::Scalar(first),
        "ttmp" if first + count <= M0 - TTMP => Place::Scalar(TTMP + first),
        "v" if first + count <= 256 => Place::Vector(first),
        "a" if first + count <= 256 => Place::Vector(256 + first),
        _ => return None,
    };
    Some((place, count))
}

/// Decimal numbers are constants of the instruction set and extended by their sign, hexadecimal ones are 32 bits.
fn constant(word: &str) -> Option<(Place, usize)> {
    let (low, high) = if let Some(hex) = word.strip_prefix("0x") {
        (u32::from_str_radix(hex, 16).ok()?, 0)
    } else if word.contains('.') {
        (word.parse::<f32>().ok()?.to_bits(), 0)
    } else {
        let value: i64 = word.parse().ok()?;
        (value as u32, (value >> 32) as u32)
    };
    Some((Place::Constant(low, high), 1))
}

fn modifier(m: &mut Modifiers, parts: &mut [Part; 2], word: &str) -> Result<(), String> {
    let unknown = || format!("unknown modifier {word}");
    let (key, value) = word.split_once(':').unwrap_or((word, ""));
    let number = || match value.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).map_err(|_| unknown()),
        None => value.parse::<i64>().map_err(|_| unknown()),
    };
    let bits = || -> Result<[u8; 3], String> {
        let mut out = [0; 3];
        let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).ok_or_else(unknown)?;
        for (to, digit) in out.iter_mut().zip(inner.split(',')) {
            *to = digit.parse().map_err(|_| unknown())?;
        }
        Ok(out)
    };
    match key {
        "offset" => m.offset = number()?,
        "offset0" => m.offsets[0] = number()? as u32,
        "offset1" => m.offsets[1] = number()? as u32,
        "op_sel" => m.low = bits()?,
        "op_sel_hi" => m.high = bits()?,
        "neg_lo" => m.negative_low = bits()?,
        "neg_hi" => m.negative_high = bits()?,
        "clamp" => m.clamp = true,
        "bitop3" => m.truth_table = number()? as u32,
        "cbsz" => m.formats[0] = number()? as u32,
        "blgp" => m.formats[1] = number()? as u32,
        "dst_sel" => m.destination = Some((part(value).ok_or_else(unknown)?, Unused::Pad)),
        "dst_unused" => {
            let rest = match value {
                "UNUSED_PAD" => Unused::Pad,
                "UNUSED_SEXT" => Unused::Extend,
                "UNUSED_PRESERVE" => Unused::Preserve,
                _ => return Err(unknown()),
            };
            m.destination = m.destination.map(|(part, _)| (part, rest));
        }
        "src0_sel" => parts[0] = part(value).ok_or_else(unknown)?,
        "src1_sel" => parts[1] = part(value).ok_or_else(unknown)?,
        // Which caches keep it: this memory has none.
        "glc" | "slc" | "dlc" | "scc" | "sc0" | "sc1" | "nt" | "scope" => {}
        _ => return Err(unknown()),
    }
    Ok(())
}

fn part(value: &str) -> Option<Part> {
    Some(match value {
        "DWORD" => Part::WHOLE,
        "WORD_0" => Part::LOW,
        "WORD_1" => Part::HIGH,
        "BYTE_0" => Part { shift: 0, bits: 8 },
        "BYTE_1" => Part { shift: 8, bits: 8 },
        "BYTE_2" => Part { shift: 16, bits: 8 },
        "BYTE_3" => Part { shift: 24, bits: 8 },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_of_every_kind() {
        let (found, _) = arguments("v_fma_f32", "v1, -|v[2:3]|, 0x80000000, a4").unwrap();
        assert_eq!((found[0].place, found[3].place), (Place::Vector(1), Place::Vector(260)));
        assert!(found[1].negative && found[1].absolute && found[1].count == 2);
        assert_eq!(found[2].place, Place::Constant(0x8000_0000, 0));
        let (found, _) = arguments("s_mov_b64", "s[2:3], -1").unwrap();
        assert_eq!(found[1].place, Place::Constant(u32::MAX, u32::MAX));
        let (found, _) = arguments("v_mul_f32_e32", "v1, -4.0, v2").unwrap();
        assert_eq!(found[1].place, Place::Constant((-4.0f32).to_bits(), 0));
        let text = "v2, vcc, v14, v3 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:DWORD src1_sel:BYTE_3";
        let (found, _) = arguments("v_add_co_u32_sdwa", text).unwrap();
        assert_eq!((found[2].part, found[3].part), (Part::WHOLE, Part { shift: 24, bits: 8 }));
        let (found, m) = arguments("global_load_dwordx4", "v[4:7], v0, s[2:3] offset:-16 nt").unwrap();
        assert_eq!((found.len(), m.offset), (3, -16));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(arguments("v_mov_b32_e32", "v1, v2 row_shr:1").is_err());
        assert!(arguments("v_mov_b32_e32", "v1, s106").is_err());
        assert!(arguments("v_mov_b32_e32", "v1, src_shared_base").is_err());
        assert!(arguments("s_waitcnt", "vscnt(0)").is_err());
    }
}
