//! o200k_harmony: the ordinary tokens that `tiktoken-rs` embeds, and the special ones of gpt-oss.

use base64::Engine;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Ids in all.
pub(super) const SIZE: usize = 201_088;
/// Ordinary tokens: ids 0 to here.
const ORDINARY: u32 = 199_998;
pub(super) const PATTERN: &str = tiktoken_rs::O200K_BASE_PAT_STR;

/// Those with a meaning; the other ids up to the end are `<|reserved_ID|>`.
const NAMED: [(&str, u32); 10] = [
    ("<|startoftext|>", 199_998),
    ("<|endoftext|>", 199_999),
    ("<|return|>", 200_002),
    ("<|constrain|>", 200_003),
    ("<|channel|>", 200_005),
    ("<|start|>", 200_006),
    ("<|end|>", 200_007),
    ("<|message|>", 200_008),
    ("<|call|>", 200_012),
    ("<|endofprompt|>", 200_018),
];

pub(super) fn specials() -> BTreeMap<String, u32> {
    let named = NAMED.map(|(name, id)| (name.to_string(), id));
    // 200018 has both names.
    let taken = |id: &u32| NAMED.iter().any(|(name, named)| named == id && *name != "<|endofprompt|>");
    let reserved = (ORDINARY..SIZE as u32).filter(|id| !taken(id)).map(|id| (format!("<|reserved_{id}|>"), id));
    named.into_iter().chain(reserved).collect()
}

pub(super) fn encode(text: &str) -> Vec<u32> {
    tiktoken_rs::o200k_harmony_singleton().encode_ordinary(text)
}

/// Bytes of an ordinary token.
pub(super) fn bytes(id: u32) -> Option<Vec<u8>> {
    if id >= ORDINARY {
        return None;
    }
    tiktoken_rs::o200k_harmony_singleton().decode_bytes(&[id]).ok()
}

pub(super) fn sha256() -> String {
    let mut hash = Sha256::new();
    for id in 0..ORDINARY {
        if let Some(bytes) = bytes(id) {
            let line = format!("{} {id}\n", base64::engine::general_purpose::STANDARD.encode(bytes));
            hash.update(line.as_bytes());
        }
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
