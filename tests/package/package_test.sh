#!/usr/bin/env bash
# usage: package_test.sh SOURCE_DIR BUILD_DIR COMPILER [COMPILER-FLAGS]
# Installs the build into a folder and builds a consumer against it by find_package, then one by add_subdirectory.
set -euo pipefail
source=$1 build=$2 compiler=$3 flags=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/log"

check() {  # NAME CMAKE-ARGS...
  local name=$1 printed
  shift
  cmake -S "$source/tests/package" -B "$work/$name" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags" \
    -DCMAKE_BUILD_TYPE=Debug -DSMELT_WERROR=ON "$@" >"$work/log"  # as the dev build, so that a compiler cache knows it
  cmake --build "$work/$name" --target consumer >"$work/log" || { cat "$work/log"; exit 1; }
  printed=$("$work/$name/consumer" "$source/fixtures/models/digits_cnn/model.onnx" 2>&1) || { echo "$name: $printed"; exit 1; }
  [ "$printed" = "17 nodes" ] || { echo "$name: printed '$printed', not '17 nodes'"; exit 1; }
  echo "ok   $name"
}
check installed -DCMAKE_PREFIX_PATH="$work/prefix"
check subdirectory -DSMELT_SOURCE="$source"
