//! Text to tokens and back: the checkpoint's own tokenizer.json, or the harmony vocabulary that is built in.
//!
//! Special tokens (`<|start|>`) are looked for here, for both kinds: `Specials` says whether their names in a text mean the
//! token or are plain text. What a user wrote is plain text; otherwise it could speak as the system.

mod byte_level;
mod harmony_vocabulary;
mod stream;

pub(super) use byte_level::char_of;
pub use stream::TextStream;

use crate::error::Error;
use crate::mutation::{Rule, wrong};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the name of a special token means inside a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Specials {
    /// The token.
    Parse,
    /// Text like any other.
    AsText,
}

/// Byte-pair encoding.
pub struct Tokenizer {
    kind: Kind,
    specials: BTreeMap<String, u32>,
    special_names: BTreeMap<u32, String>,
    /// First characters of their names.
    special_starts: BTreeSet<char>,
}

enum Kind {
    Harmony,
    File(Box<byte_level::ByteLevel>),
}

/// Most characters without a break between white space and other text. The split pattern backtracks over such a run.
const MAX_RUN: usize = 1 << 16;

impl Tokenizer {
    /// The tokenizer of a checkpoint folder: its tokenizer.json, else the built-in one if the model's vocabulary is harmony's.
    ///
    /// # Errors
    /// [`Error::File`] where there is neither, or the file is not a byte-level BPE.
    pub fn open(dir: &Path, vocab: usize) -> Result<Self, Error> {
        let path = dir.join("tokenizer.json");
        if path.is_file() {
            return Self::from_file(&path);
        }
        if vocab == harmony_vocabulary::SIZE {
            return Ok(Self::harmony());
        }
        let size = harmony_vocabulary::SIZE;
        let problem = format!("is not there, and the model's {vocab} tokens are not the built-in vocabulary's {size}");
        Err(Error::file(path, problem))
    }

    /// A tokenizer.json of Hugging Face `tokenizers`.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read or is not a byte-level BPE.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let json = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let (inner, specials) = byte_level::ByteLevel::parse(path, &json)?;
        Ok(Self::new(Kind::File(Box::new(inner)), specials))
    }

    /// o200k_harmony, the vocabulary of gpt-oss: 201088 tokens.
    pub fn harmony() -> Self {
        Self::new(Kind::Harmony, harmony_vocabulary::specials())
    }

    fn new(kind: Kind, specials: BTreeMap<String, u32>) -> Self {
        // Where two names share an id the alphabetically first one is what the id decodes to.
        let special_names = specials.iter().rev().map(|(name, id)| (*id, name.clone())).collect();
        let special_starts = specials.keys().filter_map(|name| name.chars().next()).collect();
        Tokenizer { kind, specials, special_names, special_starts }
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// [`Error::Input`] for a text the split pattern cannot take: 65536 characters without a break.
    pub fn encode(&self, text: &str, specials: Specials) -> Result<Vec<u32>, Error> {
        let mut out = Vec::new();
        let mut rest = text;
        if specials == Specials::Parse && !wrong(Rule::SpecialsAsText) {
            while let Some((at, name, id)) = self.first_special(rest) {
                self.encode_text(&rest[..at], &mut out)?;
                out.push(id);
                rest = &rest[at + name.len()..];
            }
        }
        self.encode_text(rest, &mut out)?;
        Ok(out)
    }

    /// Where the first special token's name stands in a text; the longest one there.
    fn first_special(&self, text: &str) -> Option<(usize, &str, u32)> {
        let starts = text.char_indices().filter(|(_, c)| self.special_starts.contains(c));
        starts.map(|(at, _)| at).find_map(|at| {
            let here = self.specials.iter().filter(|(name, _)| text[at..].starts_with(name.as_str()));
            let (name, id) = here.max_by_key(|(name, _)| name.len())?;
            Some((at, name.as_str(), *id))
        })
    }

    fn encode_text(&self, text: &str, out: &mut Vec<u32>) -> Result<(), Error> {
        check_runs(text)?;
        match &self.kind {
            Kind::Harmony => out.extend(harmony_vocabulary::encode(text)),
            Kind::File(inner) => out.extend(inner.encode(text)?),
        }
        Ok(())
    }

    /// The bytes a token stands for, special tokens by name; `None` for an id that stands for nothing. They may end in the
    /// middle of a character: see [`TextStream`].
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        if let Some(name) = self.special_names.get(&id) {
            return Some(name.clone().into_bytes());
        }
        match &self.kind {
            Kind::Harmony => harmony_vocabulary::bytes(id),
            Kind::File(inner) => inner.bytes(id),
        }
    }

    /// The text of tokens; what is not UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = TextStream::default();
        let mut text: String = ids.iter().map(|id| stream.push(self, *id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// Special tokens by name.
    pub fn specials(&self) -> &BTreeMap<String, u32> {
        &self.specials
    }

    /// The id of a special token.
    pub fn special(&self, name: &str) -> Option<u32> {
        self.specials.get(name).copied()
    }

    /// Is this the id of a special token?
    pub fn is_special(&self, id: u32) -> bool {
        self.special_names.contains_key(&id)
    }

    /// The pattern that text is cut by before it is merged; `None` where a tokenizer.json says it in other ways.
    pub fn pattern(&self) -> Option<&str> {
        matches!(self.kind, Kind::Harmony).then_some(harmony_vocabulary::PATTERN)
    }

    /// SHA-256 in hexadecimal of the ordinary vocabulary as a tiktoken file (a line a token: base64 of its bytes, a space, its
    /// rank), which names a vocabulary; `None` for a tokenizer.json.
    pub fn vocabulary_sha256(&self) -> Option<String> {
        matches!(self.kind, Kind::Harmony).then(harmony_vocabulary::sha256)
    }
}

fn check_runs(text: &str) -> Result<(), Error> {
    let (mut run, mut blank) = (0usize, false);
    for c in text.chars() {
        run = if c.is_whitespace() == blank { run + 1 } else { 1 };
        blank = c.is_whitespace();
        if run > MAX_RUN {
            let kind = if blank { "white space" } else { "text without white space" };
            return Err(Error::input("text", format!("more than {MAX_RUN} characters of {kind} in a row")));
        }
    }
    Ok(())
}
