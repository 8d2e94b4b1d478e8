//! The golden vectors that dropless is judged by: a data crate, one compressed archive and the code that opens it.
//!
//! Tensors of safetensors files are kept once however many files hold them, their bytes sorted by place in the element
//! (the high bytes of floating-point numbers compress, the low ones do not), and all is deflated.

use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{Error, ErrorKind, Read, Result};

/// The compressed archive.
pub const ARCHIVE: &[u8] = include_bytes!("../vectors.bin");

/// Bytes of files by name, `/`-separated, relative to the folder of vectors.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The bundled vectors.
///
/// # Errors
/// An archive that is damaged.
pub fn files() -> Result<Files> {
    unpack(ARCHIVE)
}

/// Packs files; the same files give the same bytes.
///
/// # Errors
/// A `.safetensors` file whose header does not describe it.
pub fn pack(files: &Files) -> Result<Vec<u8>> {
    let (mut seen, mut chunks, mut index, mut data) = (HashMap::new(), Vec::new(), serde_json::Map::new(), Vec::new());
    for (name, bytes) in files {
        let mut of_file = Vec::new();
        for (piece, width) in pieces(name, bytes)? {
            let id = *seen.entry(piece).or_insert_with(|| {
                chunks.push(json!([piece.len(), width]));
                data.extend(split_planes(piece, width));
                chunks.len() - 1
            });
            of_file.push(id);
        }
        index.insert(name.clone(), json!(of_file));
    }
    let index = serde_json::to_vec(&json!({ "chunks": chunks, "files": index }))?;
    let mut plain = (index.len() as u64).to_le_bytes().to_vec();
    plain.extend(index);
    plain.extend(data);
    let mut packed = Vec::new();
    ZlibEncoder::new(plain.as_slice(), Compression::best()).read_to_end(&mut packed)?;
    Ok(packed)
}

/// The files of a packed archive.
///
/// # Errors
/// An archive that is damaged.
pub fn unpack(archive: &[u8]) -> Result<Files> {
    let mut plain = Vec::new();
    ZlibDecoder::new(archive).read_to_end(&mut plain)?;
    let (length, rest) = plain.split_first_chunk().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let (index, mut data) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let index: Value = serde_json::from_slice(index)?;
    let mut chunks = Vec::new();
    for chunk in index["chunks"].as_array().ok_or_else(damaged)? {
        let (length, width) = (count(&chunk[0])?, count(&chunk[1])?);
        let (planes, rest) = data.split_at_checked(length).ok_or_else(damaged)?;
        chunks.push(join_planes(planes, width));
        data = rest;
    }
    let mut files = Files::new();
    for (name, ids) in index["files"].as_object().ok_or_else(damaged)? {
        let mut bytes = Vec::new();
        for id in ids.as_array().ok_or_else(damaged)? {
            bytes.extend_from_slice(chunks.get(count(id)?).ok_or_else(damaged)?);
        }
        files.insert(name.clone(), bytes);
    }
    Ok(files)
}

fn damaged() -> Error {
    Error::new(ErrorKind::InvalidData, "the archive of golden vectors is damaged")
}

fn count(value: &Value) -> Result<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(damaged)
}

/// A file in pieces, each with the size of its elements: a safetensors file in header and tensors, others whole.
fn pieces<'a>(name: &str, bytes: &'a [u8]) -> Result<Vec<(&'a [u8], usize)>> {
    if !name.ends_with(".safetensors") {
        return Ok(vec![(bytes, 1)]);
    }
    let wrong = || Error::new(ErrorKind::InvalidData, format!("{name}: its header does not describe it"));
    let length = bytes.first_chunk().map(|n| u64::from_le_bytes(*n)).ok_or_else(wrong)?;
    let start = usize::try_from(length).ok().and_then(|n| n.checked_add(8)).ok_or_else(wrong)?;
    let header: Value = serde_json::from_slice(bytes.get(8..start).ok_or_else(wrong)?)?;
    let mut spans = Vec::new();
    for (_, tensor) in header.as_object().ok_or_else(wrong)?.iter().filter(|(key, _)| *key != "__metadata__") {
        let width = match tensor["dtype"].as_str() {
            Some("F64" | "I64" | "U64") => 8,
            Some("F32" | "I32" | "U32") => 4,
            Some("BF16" | "F16" | "I16" | "U16") => 2,
            _ => 1,
        };
        let offsets = &tensor["data_offsets"];
        spans.push((count(&offsets[0])?, count(&offsets[1])?, width));
    }
    spans.sort_unstable();
    let (mut out, mut at) = (vec![(&bytes[..start], 1)], 0);
    for (from, to, width) in spans {
        if from != at {
            return Err(wrong());
        }
        out.push((bytes.get(start + from..start + to).ok_or_else(wrong)?, width));
        at = to;
    }
    if start + at != bytes.len() {
        return Err(wrong());
    }
    Ok(out)
}

/// First byte of every element, then the second of every element, and so on; a rest that is no element last.
fn split_planes(bytes: &[u8], width: usize) -> Vec<u8> {
    let whole = bytes.len() / width * width;
    let plane = |i| bytes[..whole].iter().skip(i).step_by(width);
    (0..width).flat_map(plane).chain(&bytes[whole..]).copied().collect()
}

fn join_planes(planes: &[u8], width: usize) -> Vec<u8> {
    let elements = planes.len() / width.max(1);
    let whole = elements * width;
    let byte = |i: usize| planes[i % width * elements + i / width];
    (0..whole).map(byte).chain(planes[whole..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_the_bundled_files_gives_the_bundled_archive() {
        assert!(pack(&files().unwrap()).unwrap() == ARCHIVE);
    }

    #[test]
    fn every_byte_comes_back() {
        let tensor = b"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}".as_slice();
        let file = [&(tensor.len() as u64).to_le_bytes(), tensor, &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
        let files: Files =
            [("x/a.safetensors".into(), file.clone()), ("y".into(), vec![]), ("z.safetensors".into(), file)].into();
        assert_eq!(unpack(&pack(&files).unwrap()).unwrap(), files);
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        assert!(unpack(&ARCHIVE[..ARCHIVE.len() / 2]).is_err());
        assert!(unpack(&[]).is_err());
    }
}
