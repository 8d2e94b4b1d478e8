#!/usr/bin/env bash
# Runs a command that finds a stand-in for AMD's runtime library, which interprets the compiled kernels: no AMD GPU is needed.
# DROPLESS_GFX names the target: gfx90a, gfx942 (the default), gfx950, gfx1100 or gfx1201; gfx1101, which no object is
# compiled for, is compiled for by a stand-in for hipRTC. Needs llvm 22.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
# For this machine alone, so that fused multiply-adds are one instruction.
RUSTFLAGS="-C target-cpu=native" cargo build --quiet --release --package dropless-gfx --target-dir "$target/gfx"
mkdir -p "$target/gfx/lib"
cp "$target/gfx/release/libdropless_gfx.so" "$target/gfx/lib/libamdhip64.so.7"
cp "$target/gfx/release/libdropless_gfx.so" "$target/gfx/lib/libhiprtc.so.7"
LD_LIBRARY_PATH="$target/gfx/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$@"
