#!/usr/bin/env bash
# Builds the official onnx C++ library, static, against the system's protobuf, and installs it.
#
#   scripts/build_onnx.sh SOURCE_TARBALL CMAKE PREFIX
#
# CMAKE is a cmake of 3.26 or later (onnx asks for it). Compiles in a temporary folder and says one line. Does nothing when
# PREFIX was made from the same tarball by the same recipe. JOBS (default 1) compilers run at once, 0.8 GB each.
set -euo pipefail

die() { printf 'build_onnx.sh: %s\n' "$*" >&2; exit 1; }

[ $# -eq 3 ] || die "usage: build_onnx.sh SOURCE_TARBALL CMAKE PREFIX"
tarball=$(realpath "$1") cmake=$(realpath "$2") prefix=$(realpath -m "$3")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
unity=$here/../cmake/onnx_unity.cmake

stamp=$(sha256sum <"$tarball"; sha256sum <"${BASH_SOURCE[0]}"; sha256sum <"$unity")
if [ -f "$prefix/smelt_stamp" ] && [ "$(cat "$prefix/smelt_stamp")" = "$stamp" ]; then
  echo "build_onnx.sh: $prefix is up to date"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
tar -xf "$tarball" -C "$work/source" --strip-components=1

# The folder differs from run to run and the date from day to day; neither may reach the library.
export SOURCE_DATE_EPOCH=1
{
  # gtest's and python's parts are off: only the two static libraries, their headers and their CMake files are made.
  "$cmake" -G Ninja -S "$work/source" -B "$work/build" \
    -DCMAKE_BUILD_TYPE=MinSizeRel \
    -DCMAKE_INSTALL_PREFIX="$prefix" \
    -DCMAKE_INSTALL_LIBDIR=lib \
    -DCMAKE_CXX_FLAGS="-ffile-prefix-map=$work=onnx" \
    -DCMAKE_PROJECT_INCLUDE="$unity" \
    -DBUILD_SHARED_LIBS=OFF \
    -DONNX_ML=ON \
    -DONNX_BUILD_PYTHON=OFF \
    -DONNX_GEN_PB_TYPE_STUBS=OFF \
    -DONNX_USE_PROTOBUF_SHARED_LIBS=ON &&
    "$cmake" --build "$work/build" --parallel "${JOBS:-1}" &&
    rm -rf "$prefix" &&
    "$cmake" --install "$work/build"
} >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; die "the build stopped; its last lines are above"; }

printf '%s\n' "$stamp" >"$prefix/smelt_stamp"
echo "build_onnx.sh: built $(basename "$tarball" .tar.gz) in ${SECONDS}s, installed in $prefix"
