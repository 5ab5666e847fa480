#!/usr/bin/env bash
# Runs check_kept.py and check_packages.py in an environment of their own, where oracle and corpus are found.
# usage: run.sh SMELT SHARED KEPT   KEPT: the folder of packages that the tests kept (SMELT_KEEP_PACKAGES)
set -euo pipefail
smelt=$(realpath "$1") kept=$(realpath "$3")
if [ ! -d "$2/oracle" ] || [ ! -d "$2/corpus/trained" ]; then
  echo "oracles: skipped, no oracle or no corpus"
  exit 0
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! python=$(tests/oracle/environment.sh); then
  echo "oracles: skipped, coremltools cannot be installed here"
  exit 0
fi
"$python" tests/oracle/check_kept.py "$kept" "$2/oracle"
exec "$python" tests/oracle/check_packages.py "$smelt" "$2/corpus" "$2/oracle"
