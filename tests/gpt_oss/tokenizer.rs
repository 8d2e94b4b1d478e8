//! A tokenizer.json in the shape of gpt-oss's own: byte-level BPE, cut by a pattern before.

use dropless::gpt_oss::{Specials, Tokenizer};
use serde_json::{Value, json};

/// The printable character that byte-level vocabularies write for a byte.
fn char_of(byte: u8) -> char {
    let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match printable(&byte) {
        true => char::from(byte),
        false => char::from_u32(0x100 + (0..byte).filter(|b| !printable(b)).count() as u32).unwrap(),
    }
}

fn byte_level(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

/// A text of words that are one token each, through a tokenizer.json that knows the 256 bytes and these words.
#[test]
fn the_pattern_of_a_file_cuts_as_the_built_in_one() {
    let harmony = Tokenizer::harmony();
    let text = "Hello world, it's THE 12345th try:\n\n    let x = 日本; // für  alle\r\n";
    let pieces: Vec<Vec<u8>> =
        harmony.encode(text, Specials::AsText).unwrap().iter().map(|id| harmony.token_bytes(*id).unwrap()).collect();
    let mut vocab: Vec<Vec<u8>> = (0..=255).map(|b| vec![b]).collect();
    vocab.extend(pieces.iter().filter(|p| p.len() > 1).cloned());
    vocab.dedup();
    let name = |bytes: &Vec<u8>| bytes.iter().map(|b| char_of(*b)).collect::<String>();
    let ids: serde_json::Map<String, Value> = vocab.iter().enumerate().map(|(id, v)| (name(v), json!(id))).collect();
    let added = |id: usize, content: &str, special: bool| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": special })
    };
    let n = vocab.len();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [added(n, "<|start|>", true), added(n + 1, "<|end|>", true)],
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": harmony.pattern().unwrap() }, "behavior": "Isolated", "invert": false },
            byte_level(false),
        ] },
        "post_processor": { "type": "TemplateProcessing", "single": [{ "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": {} },
        "decoder": byte_level(true),
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": ids, "merges": [] },
    });
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    let tokenizer = Tokenizer::open(dir.path(), n + 2).unwrap();
    let got = tokenizer.encode(text, Specials::Parse).unwrap();
    let bytes: Vec<Vec<u8>> = got.iter().map(|id| tokenizer.token_bytes(*id).unwrap()).collect();
    let words = |pieces: &[Vec<u8>]| pieces.iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect::<Vec<_>>();
    assert_eq!(words(&bytes), words(&pieces));
    assert_eq!(tokenizer.decode(&got), text);
    let turn = "<|start|>a<|end|>";
    let ids = tokenizer.encode(turn, Specials::Parse).unwrap();
    assert_eq!(ids, [n as u32, u32::from(b'a'), n as u32 + 1]);
    assert_eq!(tokenizer.encode(turn, Specials::AsText).unwrap().len(), turn.len(), "names in a text are text");
}
