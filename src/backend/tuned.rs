//! Which variant was measured to be the fastest: by op, class of shape and size.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// Measured choices of one device. As text it is TOML: `device = "..."`, then `[[row]]`s of `op`, `class`, `size` and `variant`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Tuned {
    /// The device's name, as its driver says it.
    pub device: String,
    /// In any order.
    pub rows: Vec<TunedRow>,
}

/// The fastest variant at one size.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TunedRow {
    /// Name of the op.
    pub op: String,
    /// What of the spec matters beside the size, as the backend writes it.
    pub class: String,
    /// Rows, or tokens.
    pub size: usize,
    /// The variant.
    pub variant: String,
}

/// What choices are found by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// What of the spec matters beside the size.
    pub name: String,
    /// Rows, or tokens.
    pub size: usize,
}

/// How far a size may be from a measured one.
const NEAR: f64 = 2.0;

impl Tuned {
    /// The choice at the nearest size, which is at most twice and at least half of this one.
    pub fn variant(&self, op: &str, class: &Class) -> Option<&str> {
        let Class { name, size } = class;
        let rows = || self.rows.iter().filter(|r| r.op == op && r.class == *name);
        let off = |r: &TunedRow| (r.size.max(1) as f64 / (*size).max(1) as f64).ln().abs();
        let nearest = rows().min_by(|a, b| off(a).total_cmp(&off(b)))?;
        (off(nearest) <= NEAR.ln()).then_some(&nearest.variant)
    }

    /// Adds a choice, or replaces the one of the same op, class and size.
    pub fn insert(&mut self, new: TunedRow) {
        let key = |r: &TunedRow| (r.op.clone(), r.class.clone(), r.size);
        self.rows.retain(|r| key(r) != key(&new));
        self.rows.push(new);
        self.rows.sort_by_key(key);
    }
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Measured by `dropless tune`.\ndevice = \"{}\"", self.device)?;
        for TunedRow { op, class, size, variant } in &self.rows {
            writeln!(f, "\n[[row]]\nop = \"{op}\"\nclass = \"{class}\"\nsize = {size}\nvariant = \"{variant}\"")?;
        }
        Ok(())
    }
}

impl FromStr for Tuned {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut tuned = Tuned::default();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            tuned.read(line).map_err(|why| Error::input(format!("tuned rows, line {}: {line:?}", i + 1), why))?;
        }
        if tuned.device.is_empty() {
            return Err(Error::input("tuned rows", "do not name their device: device = \"...\""));
        }
        let whole = |r: &&TunedRow| !(r.op.is_empty() || r.variant.is_empty());
        match tuned.rows.iter().position(|r| !whole(&r)) {
            Some(i) => Err(Error::input(format!("tuned row {}", i + 1), "has no op or no variant")),
            None => Ok(tuned),
        }
    }
}

impl Tuned {
    fn read(&mut self, line: &str) -> Result<(), &'static str> {
        if line == "[[row]]" {
            self.rows.push(TunedRow::default());
            return Ok(());
        }
        let (key, value) = line.split_once('=').ok_or("is neither [[row]] nor a key and its value")?;
        let (key, value) = (key.trim(), value.trim());
        let text = || {
            let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            inner
                .filter(|v| !v.contains(['"', '\\']))
                .map(String::from)
                .ok_or("wants words between quotes, without escapes")
        };
        match (key, self.rows.last_mut()) {
            ("device", None) => self.device = text()?,
            ("op", Some(row)) => row.op = text()?,
            ("class", Some(row)) => row.class = text()?,
            ("variant", Some(row)) => row.variant = text()?,
            ("size", Some(row)) => row.size = value.parse().map_err(|_| "wants a whole number")?,
            _ => {
                return Err("has no such key here; there are device, then of each [[row]] op, class, size and variant");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(class: &str, size: usize, variant: &str) -> TunedRow {
        TunedRow { op: "gemm".into(), class: class.into(), size, variant: variant.into() }
    }

    #[test]
    fn the_nearest_size_decides() {
        let rows = vec![row("a", 4, "few"), row("a", 16, "some"), row("a", 256, "many"), row("b", 8, "other")];
        let tuned = Tuned { device: "any".into(), rows };
        let class = |name: &str, size| Class { name: name.into(), size };
        let of = |size| tuned.variant("gemm", &class("a", size));
        assert_eq!([4, 7, 9, 31].map(of), [Some("few"), Some("few"), Some("some"), Some("some")]);
        assert_eq!([1, 60, 300, 600].map(of), [None, None, Some("many"), None]);
        assert_eq!((tuned.variant("gemm", &class("c", 8)), tuned.variant("sort", &class("a", 4))), (None, None));
    }

    #[test]
    fn a_new_choice_replaces_the_same_one() {
        let mut tuned = Tuned::default();
        [row("a", 8, "x"), row("a", 4, "x"), row("a", 8, "y")].into_iter().for_each(|row| tuned.insert(row));
        assert_eq!(tuned.rows, [row("a", 4, "x"), row("a", 8, "y")]);
    }

    #[test]
    fn text_survives() {
        let tuned = Tuned { device: "NVIDIA H200".into(), rows: vec![row("5760x2880", 4, "few"), row("b", 9, "x")] };
        assert_eq!(tuned.to_string().parse::<Tuned>().unwrap(), tuned);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let words = |text: &str| text.parse::<Tuned>().unwrap_err().to_string();
        assert!(words("").contains("device"));
        assert!(words("device = \"d\"\n[[row]]\nsize = many").contains("line 3"));
        assert!(words("device = \"d\"\n[[row]]\nop = \"gemm\"").contains("row 1"));
        assert!(words("device = \"d\"\nop = \"gemm\"").contains("no such key"));
        assert!(words("device = d").contains("quotes"));
        assert!(words("[row]").contains("neither"));
    }
}
