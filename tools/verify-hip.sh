#!/usr/bin/env bash
# `dropless verify --backend hip` without an AMD GPU: see with-hip.sh. Arguments go to verify.
set -euo pipefail
exec "$(dirname "$0")/with-hip.sh" cargo run --quiet ${DROPLESS_PROFILE---release} -- verify --backend hip "$@"
