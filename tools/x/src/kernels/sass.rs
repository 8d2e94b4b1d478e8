//! sass.toml: what the assembled kernels have to be, told from what the assembler and the disassembler print.

use super::table::{Table, Variant};
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sass {
    /// Entries that multiply no matrices, of variants that do.
    helpers: Vec<String>,
    /// By the first op of a row, and its name.
    variant: BTreeMap<String, BTreeMap<String, Facts>>,
}

/// What holds for a row, as sass.toml explains it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    registers: u32,
    matrix: Option<String>,
}

impl Sass {
    /// Reads the file, which has to be about the rows of `table`, all of them and no others.
    pub fn read(path: &Path, table: &Table) -> anyhow::Result<Sass> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let sass: Sass = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
        for variant in &table.variant {
            sass.facts(variant)?;
        }
        for (op, name) in sass.variant.iter().flat_map(|(op, rows)| rows.keys().map(move |name| (op, name))) {
            let known = table.variant.iter().any(|v| v.name == *name && v.ops.first() == Some(op));
            ensure!(known, "sass.toml has {op} {name}, variants.toml has not");
        }
        for helper in &sass.helpers {
            let known = table.variant.iter().any(|v| v.entries.contains(helper));
            ensure!(known, "sass.toml: no row of variants.toml has an entry `{helper}`");
        }
        Ok(sass)
    }

    fn facts(&self, variant: &Variant) -> anyhow::Result<&Facts> {
        let facts = variant.ops.first().and_then(|op| self.variant.get(op)?.get(&variant.name));
        facts.with_context(|| format!("sass.toml says nothing of {}", variant.artifact()))
    }

    /// Registers a thread, by entry, from what `ptxas -v` said.
    pub fn registers(&self, variant: &Variant, said: &str) -> anyhow::Result<BTreeMap<String, u32>> {
        let most = self.facts(variant)?.registers;
        let (mut used, mut entry) = (BTreeMap::new(), "");
        for line in said.lines() {
            if let Some((_, rest)) = line.split_once("Compiling entry function '") {
                entry = rest.split('\'').next().unwrap_or_default();
            } else if let Some((_, rest)) = line.split_once("Used ") {
                let count = rest.split(' ').next().unwrap_or_default();
                used.insert(entry.to_string(), count.parse().with_context(|| line.to_string())?);
            }
        }
        for entry in &variant.entries {
            let of = format!("{}: `{entry}`", variant.artifact());
            let have = *used.get(entry).with_context(|| format!("{of}: no word of its registers in\n{said}"))?;
            ensure!(have <= most, "{of} takes {have} registers a thread, sass.toml allows {most}");
        }
        Ok(used)
    }

    /// Whether [`Sass::matrix`] wants a listing of this row.
    pub fn multiplies(&self, variant: &Variant) -> anyhow::Result<bool> {
        Ok(self.facts(variant)?.matrix.is_some())
    }

    /// Fails where an entry that should multiply matrices does not do so with the instruction that the variant stands for.
    /// `listing` is what `cuobjdump -sass` printed.
    pub fn matrix(&self, variant: &Variant, listing: &str) -> anyhow::Result<()> {
        let Some(wanted) = &self.facts(variant)?.matrix else { return Ok(()) };
        let parts: Vec<(&str, &str)> =
            listing.split("Function : ").skip(1).map(|part| part.split_once('\n').unwrap_or((part, ""))).collect();
        for entry in variant.entries.iter().filter(|entry| !self.helpers.contains(entry)) {
            let of = format!("{}: `{entry}`", variant.artifact());
            let part = parts.iter().find(|(name, _)| name.trim() == entry);
            let (_, instructions) = part.with_context(|| format!("{of} is not in the disassembly"))?;
            ensure!(
                instructions.contains(&format!(" {wanted}.")),
                "{of} has no {wanted} instruction, and sass.toml wants it"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        flags = []
        [[variant]]
        ops = ["grouped_gemm"]
        name = "sm90_prefill"
        source = "prefill.cu"
        arch = "90a"
        ptx = 80
        entries = ["gather", "prefill", "prefill_gated"]
        warps = 16
    "#;
    const SASS: &str = r#"
        helpers = ["gather"]
        [variant.grouped_gemm]
        sm90_prefill = { registers = 128, matrix = "HGMMA" }
    "#;
    const SAID: &str = "ptxas info    : Compiling entry function 'prefill_gated' for 'sm_90a'
ptxas info    : Used 128 registers, used 1 barriers
ptxas info    : Compiling entry function 'prefill' for 'sm_90a'
ptxas info    : Function properties for prefill
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 96 registers
ptxas info    : Compiling entry function 'gather' for 'sm_90a'
ptxas info    : Used 34 registers
";
    const LISTING: &str = "	code for sm_90a
		Function : prefill_gated
        /*0000*/                   HGMMA.64x48x16.F32.BF16 R24, R52, gdesc[UR16], RZ, !UPT ;
		Function : prefill
        /*0000*/                   HGMMA.64x48x16.F32.BF16 R24, R52, gdesc[UR16], RZ, !UPT ;
		Function : gather
        /*0000*/                   MOV R1, c[0x0][0x28] ;
";

    fn read(sass: &str) -> anyhow::Result<(Sass, Table)> {
        let (sass, table) = (toml::from_str(sass)?, toml::from_str(TABLE)?);
        Ok((sass, table))
    }

    fn words<T>(result: anyhow::Result<T>) -> String {
        result.err().map_or_else(String::new, |e| format!("{e:#}"))
    }

    #[test]
    fn registers_are_those_of_each_entry() {
        let (sass, table) = read(SASS).unwrap();
        let used = sass.registers(&table.variant[0], SAID).unwrap();
        assert_eq!(
            used.into_iter().collect::<Vec<_>>(),
            [("gather", 34), ("prefill", 96), ("prefill_gated", 128)].map(|(e, n)| (e.to_string(), n))
        );
    }

    #[test]
    fn more_registers_than_allowed_are_found() {
        let (sass, table) = read(SASS).unwrap();
        let said = SAID.replace("Used 96", "Used 130");
        assert_eq!(
            words(sass.registers(&table.variant[0], &said)),
            "ptx/grouped_gemm.sm90_prefill.ptx: `prefill` takes 130 registers a thread, sass.toml allows 128"
        );
        let silent = SAID.replace("Used 96", "Uses 96");
        assert!(words(sass.registers(&table.variant[0], &silent)).contains("`prefill`: no word of its registers"));
    }

    #[test]
    fn an_entry_without_its_matrix_instruction_is_found() {
        let (sass, table) = read(SASS).unwrap();
        let variant = &table.variant[0];
        assert_eq!(words(sass.matrix(variant, LISTING)), "");
        let (gated, plain) = LISTING.split_at(LISTING.find("		Function : prefill\n").unwrap());
        // mma.sync of a warp is another instruction, and a name is not one.
        for other in ["HMMA.16816.F32.BF16 R4, R8, R2, R4", "CALL.REL.NOINC `(HGMMA_rows)"] {
            let listing =
                [gated, &plain.replace("HGMMA.64x48x16.F32.BF16 R24, R52, gdesc[UR16], RZ, !UPT", other)].concat();
            assert_eq!(
                words(sass.matrix(variant, &listing)),
                "ptx/grouped_gemm.sm90_prefill.ptx: `prefill` has no HGMMA instruction, and sass.toml wants it"
            );
        }
        assert!(words(sass.matrix(variant, gated)).contains("`prefill` is not in the disassembly"));
    }

    #[test]
    fn rows_are_those_of_the_table() {
        let folder = std::env::temp_dir().join(format!("dropless-sass-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("sass.toml");
        let table: Table = toml::from_str(TABLE).unwrap();
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            words(Sass::read(&path, &table))
        };
        assert_eq!(read(SASS), "");
        assert_eq!(
            read("helpers = []\n[variant.grouped_gemm]\n"),
            "sass.toml says nothing of ptx/grouped_gemm.sm90_prefill.ptx"
        );
        assert_eq!(
            read(&format!("{SASS}\nsm90_decode = {{ registers = 1 }}")),
            "sass.toml has grouped_gemm sm90_decode, variants.toml has not"
        );
        assert_eq!(
            read(&SASS.replace("\"gather\"", "\"scatter\"")),
            "sass.toml: no row of variants.toml has an entry `scatter`"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
