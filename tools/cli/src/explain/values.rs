//! `name=value` pairs, taken by name; what nobody takes, what is missing and what makes no sense is said in the end.

use anyhow::{Context, ensure};
use dropless::DType;
use dropless::op::{KvStore, PageLayout};

const FLOATS: [(&str, DType); 3] = [("bf16", DType::Bf16), ("f16", DType::F16), ("f32", DType::F32)];

/// The pairs that were given, and what was asked of them so far.
pub struct Values<'a> {
    given: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
    wrong: Vec<String>,
}

impl<'a> Values<'a> {
    pub fn new(pairs: &'a [String]) -> anyhow::Result<Self> {
        let pair = |p: &'a String| p.split_once('=').with_context(|| format!("--shape takes name=value, got {p:?}"));
        let given = pairs.iter().map(pair).collect::<Result<_, _>>()?;
        Ok(Values { given, known: Vec::new(), missing: Vec::new(), wrong: Vec::new() })
    }

    fn take(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        self.given.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn number(&mut self, name: &'static str) -> Option<usize> {
        let text = self.take(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.wrong.push(format!("{name} must be a number, got {text:?}"));
        }
        number
    }

    /// A number that must be given.
    pub fn need(&mut self, name: &'static str) -> usize {
        let number = self.number(name);
        if !self.given.iter().any(|(n, _)| *n == name) {
            self.missing.push(name);
        }
        number.unwrap_or(0)
    }

    pub fn count(&mut self, name: &'static str, default: usize) -> usize {
        self.number(name).unwrap_or(default)
    }

    pub fn one_of<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)], default: T) -> T {
        let Some(text) = self.take(name) else { return default };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong.push(format!("{name} must be one of {}, got {text:?}", words.join(", ")));
        }
        found.unwrap_or(default)
    }

    pub fn float(&mut self, name: &'static str, default: DType) -> DType {
        self.one_of(name, &FLOATS, default)
    }

    /// A type that a cache of keys and values may have.
    pub fn cache(&mut self, name: &'static str) -> DType {
        let [a, b, c] = FLOATS;
        self.one_of(name, &[a, b, c, ("f8e4m3", DType::F8E4m3)], DType::Bf16)
    }

    /// A type, or `none`.
    pub fn optional_float(&mut self, name: &'static str, default: Option<DType>) -> Option<DType> {
        let [a, b, c] = FLOATS.map(|(word, dtype)| (word, Some(dtype)));
        self.one_of(name, &[a, b, c, ("none", None)], default)
    }

    /// Pages of `page_size`, unless that is 0.
    pub fn pages(&mut self, default: usize, page_size: usize) -> Option<KvStore> {
        let layouts = [("nhd", PageLayout::Nhd), ("hnd", PageLayout::Hnd), ("xsplit8", PageLayout::XSplit { x: 8 })];
        let (pages, layout) = (self.count("pages", default), self.one_of("layout", &layouts, PageLayout::Nhd));
        (page_size > 0).then_some(KvStore::Paged { pages, page_size, layout })
    }

    /// Was everything known, given and sensible?
    pub fn finish(self, op: &str) -> anyhow::Result<()> {
        let known = self.known.join(", ");
        let unknown = self.given.iter().find(|(name, _)| !self.known.contains(name));
        if let Some((name, _)) = unknown {
            anyhow::bail!("the shape of {op} has no {name:?}; it has {known}");
        }
        ensure!(self.missing.is_empty(), "the shape of {op} needs {}; it has {known}", self.missing.join(", "));
        ensure!(self.wrong.is_empty(), "the shape of {op}: {}", self.wrong.join("; "));
        Ok(())
    }
}
