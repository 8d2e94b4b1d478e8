#!/usr/bin/env bash
# `dropless verify --backend hip` without an AMD GPU: its runtime library is a stand-in that interprets the compiled kernels.
# Arguments go to verify. DROPLESS_GFX names the target: gfx90a, gfx942 (the default), gfx950, gfx1100 or gfx1201. Needs llvm 22.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
# For this machine alone, so that fused multiply-adds are one instruction.
RUSTFLAGS="-C target-cpu=native" cargo build --quiet --release --package dropless-gfx --target-dir "$target/gfx"
mkdir -p "$target/gfx/lib"
cp "$target/gfx/release/libdropless_gfx.so" "$target/gfx/lib/libamdhip64.so.7"
LD_LIBRARY_PATH="$target/gfx/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
  cargo run --quiet ${DROPLESS_PROFILE---release} -- verify --backend hip "$@"
