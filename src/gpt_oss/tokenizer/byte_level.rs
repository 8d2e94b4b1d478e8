//! A tokenizer.json whose tokens are written byte by byte, as GPT-2's and gpt-oss's are.

use crate::error::Error;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::Tokenizer;

pub(super) struct ByteLevel {
    inner: Tokenizer,
    /// Added tokens, which stand for their own text.
    added: BTreeMap<u32, String>,
    byte_of: BTreeMap<char, u8>,
}

impl ByteLevel {
    /// The tokenizer and its special tokens.
    pub(super) fn parse(path: &Path, json: &[u8]) -> Result<(Self, BTreeMap<String, u32>), Error> {
        let not = |e: &dyn std::fmt::Display| Error::file(path, format!("not a tokenizer.json: {e}"));
        // `tokenizers` panics on some text that is not JSON, and on damaged normalizers.
        let value: Value = serde_json::from_slice(json).map_err(|e| not(&e))?;
        let decoder = value.pointer("/decoder/type").and_then(Value::as_str);
        if decoder != Some("ByteLevel") || value.get("normalizer").is_some_and(|n| !n.is_null()) {
            return Err(Error::file(
                path,
                "must be a byte-level BPE (decoder ByteLevel, no normalizer), as gpt-oss's is",
            ));
        }
        drop(value);
        let mut inner = Tokenizer::from_bytes(json).map_err(|e| not(&e))?;
        // Special tokens are found by the caller; what comes here is text.
        inner.set_encode_special_tokens(true);
        let (mut added, mut specials) = (BTreeMap::new(), BTreeMap::new());
        for (id, token) in inner.get_added_tokens_decoder() {
            if token.special && !token.content.is_empty() {
                specials.insert(token.content.clone(), id);
            }
            added.insert(id, token.content);
        }
        let byte_of = (0..=255).map(|b| (char_of(b), b)).collect();
        Ok((ByteLevel { inner, added, byte_of }, specials))
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.inner.encode_fast(text, false).map_err(|e| Error::input("text", e))?;
        Ok(encoding.get_ids().to_vec())
    }

    pub(super) fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        if let Some(text) = self.added.get(&id) {
            return Some(text.clone().into_bytes());
        }
        let token = self.inner.id_to_token(id)?;
        token.chars().map(|c| self.byte_of.get(&c).copied()).collect()
    }
}

/// The printable character that byte-level vocabularies write for a byte: itself where it is one, else the next free
/// character from U+0100 on.
pub(crate) fn char_of(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|b| !printable(*b)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}
