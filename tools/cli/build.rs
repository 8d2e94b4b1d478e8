//! `DROPLESS_COMMIT`: the commit that is built, as the checkout's or the package's files say it. Nothing is run. Changes that are
//! not committed are not seen.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DROPLESS_COMMIT");
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    // Who builds may know better.
    if std::env::var("DROPLESS_COMMIT").is_ok() {
        return;
    }
    if let Some(commit) = packaged(&here).or_else(|| checked_out(&here)).filter(|c| c.len() >= 12) {
        println!("cargo:rustc-env=DROPLESS_COMMIT={}", &commit[..12]);
    }
}

/// `cargo package` writes it down.
fn packaged(here: &Path) -> Option<String> {
    hex(read_to_string(here.join(".cargo_vcs_info.json"))
        .ok()?
        .split("\"sha1\":")
        .nth(1)?
        .trim_start()
        .strip_prefix('"')?)
}

/// The commit of the repository that this folder is `tools/cli` of.
fn checked_out(here: &Path) -> Option<String> {
    let root = here.parent()?.parent()?;
    // A linked worktree has a file in place of the folder; its branches are in the folder that `commondir` names.
    let git = match read_to_string(root.join(".git")) {
        Ok(link) => root.join(link.strip_prefix("gitdir:")?.trim()),
        Err(_) => root.join(".git"),
    };
    let common = read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |path| git.join(path.trim()));
    // Every commit and checkout is written into the second. A file that is not there would count as changed each time.
    for path in ["HEAD", "logs/HEAD"].map(|name| git.join(name)).iter().filter(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    let head = read_to_string(git.join("HEAD")).ok()?;
    let Some(branch) = head.trim().strip_prefix("ref: ") else { return hex(&head) };
    if let Ok(commit) = read_to_string(common.join(branch)) {
        return hex(&commit);
    }
    let packed = read_to_string(common.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| hex(line.strip_suffix(branch)?.strip_suffix(' ')?))
}

/// The hexadecimal digits at the start.
fn hex(text: &str) -> Option<String> {
    let digits: String = text.trim_start().chars().take_while(char::is_ascii_hexdigit).collect();
    (!digits.is_empty()).then_some(digits)
}
