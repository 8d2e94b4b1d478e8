//! A tokenizer.json for small vocabularies: the 256 bytes, pairs of letters, and harmony's special tokens.

use crate::gpt_oss::tokenizer::char_of;
use serde_json::{Map, Value, json};

const SPECIALS: [&str; 9] = [
    "<|startoftext|>",
    "<|endoftext|>",
    "<|return|>",
    "<|constrain|>",
    "<|channel|>",
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|call|>",
];

/// A space and the letters, common ones first.
const LETTERS: &[u8] = b" etaoinshrdlucmfwypvbgkjqxz";

/// `None` where the vocabulary is too small for the bytes, or larger than bytes, pairs and special tokens fill.
pub(super) fn tokenizer_json(vocab: usize) -> Option<String> {
    let count = vocab.checked_sub(256 + SPECIALS.len())?;
    let pairs = letter_pairs();
    let pairs = pairs.get(..count)?;
    let mut ids: Map<String, Value> = (0..=255u8).map(|b| (char_of(b).to_string(), json!(b))).collect();
    let mut merges = Vec::with_capacity(count);
    for (i, (a, b)) in pairs.iter().enumerate() {
        let (a, b) = (char_of(*a), char_of(*b));
        ids.insert(format!("{a}{b}"), json!(256 + i));
        merges.push(json!([a, b]));
    }
    let added = |(i, name): (usize, &&str)| {
        json!({
            "id": 256 + count + i, "content": name, "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true });
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": SPECIALS.iter().enumerate().map(added).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": ids, "merges": merges,
        },
    });
    Some(format!("{json:#}\n"))
}

/// Pairs by how common both letters are; a space only comes first.
fn letter_pairs() -> Vec<(u8, u8)> {
    let all = LETTERS
        .iter()
        .enumerate()
        .flat_map(|(i, a)| LETTERS.iter().enumerate().skip(1).map(move |(j, b)| (i + j, (*a, *b))));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(rank, _)| *rank);
    all.into_iter().map(|(_, pair)| pair).collect()
}
