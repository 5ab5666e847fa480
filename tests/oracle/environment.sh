#!/usr/bin/env bash
# Makes the Python environment of the checks in .deps/oracle, once, and prints its interpreter; fails where it cannot be installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
venv=.deps/oracle
if [ ! -f "$venv/ready" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  installed=no
  for _ in 1 2 3; do
    if "$venv/bin/pip" install -q -r tests/oracle/requirements.txt >&2; then installed=yes; break; fi
  done
  [ "$installed" = yes ] || exit 1
  touch "$venv/ready"
fi
printf '%s\n' "$PWD/$venv/bin/python"
