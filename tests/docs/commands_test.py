#!/usr/bin/env python3
"""Runs every command that README.md and docs/ show with its output, and compares.

usage: commands_test.py SMELT SOURCE_DIR

A block of a page that begins with "$ " is a command and what it prints, stdout and stderr together. "..." stands for anything, as a line
of its own for any lines. What was measured differs between processors: where the heading is in MEASURED, numbers are compared as such
only, and a table may leave columns out.
"""
import gzip
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

MEASURED = {"smelt", "E0501"}


def blocks(page):
    """(heading, command, lines of output) of each block with a command."""
    heading, block = "", None
    for line in page.read_text().splitlines():
        if line.startswith("#") and block is None:
            heading = line.lstrip("# ").split(":")[0]
        elif line.startswith("```"):
            if block and block[0].startswith("$ "):
                yield heading, block[0][2:], block[1:]
            block = [] if block is None else None
        elif block is not None:
            block.append(line)


class Folder:
    """The working folder of the examples: model.onnx, its package a.mlpackage, and what a heading needs besides."""

    def __init__(self, smelt, source, path):
        self.smelt, self.source, self.path = smelt, source, path
        (path / "build/release/bin").mkdir(parents=True)
        os.symlink(smelt, path / "build/release/bin/smelt")
        os.symlink(source / "fixtures", path / "fixtures")
        self.model = (source / "fixtures/models/digits_cnn/model.onnx").read_bytes()
        (path / "model.onnx").write_bytes(self.model)

    def package(self, name):
        subprocess.run([self.smelt, "convert", "model.onnx", "-o", name, "--no-validate", "--quiet"], cwd=self.path, check=True)

    def manifest_of_b(self, edit):
        self.package("b.mlpackage")
        manifest = self.path / "b.mlpackage/Manifest.json"
        manifest.write_text(edit(manifest.read_text()))

    def prepare(self, heading):
        write = lambda name, data: (self.path / name).write_bytes(data)
        if heading in ("E0103", "E0501"):
            self.package("a.mlpackage")
        elif heading == "E0201":
            write("cut.onnx", self.model[:200_000])
        elif heading == "E0202":
            write("damaged.onnx", self.model + b"\0")
        elif heading == "E0203":
            write("model.gz", gzip.compress(self.model, mtime=0))
        elif heading == "E0204":
            self.manifest_of_b(lambda text: text.replace("com.apple.CoreML/model.mlmodel", "../../../other"))
        elif heading == "E0301":
            shutil.copy(self.source / "fixtures/corrupt/unknown_op.onnx", self.path / "gated.onnx")
        elif heading == "E0502":
            self.package("a.mlpackage")
            self.package("b.mlpackage")
            with open(self.path / "a.mlpackage/Data/com.apple.CoreML/weights/weight.bin", "ab") as weights:
                weights.write(b"\0")
        elif heading == "E0701":
            self.manifest_of_b(lambda text: text + " " * (1 << 20))
        elif heading == "E0802":
            self.write_conv64()

    def write_conv64(self):
        """A convolution of float64, for which the engine has no kernel."""
        sys.path.insert(0, str(self.source / "bench"))
        sys.dont_write_bytecode = True
        from make_model import field, node
        extents = field(2, b"".join(field(1, field(1, d)) for d in (1, 1, 4, 4)))
        x, y = (field(1, name) + field(2, field(1, field(1, 11) + extents)) for name in (b"x", b"y"))
        w = b"".join(field(1, 1) for _ in range(4)) + field(2, 11) + field(8, b"w") + field(9, bytes(8))
        graph = field(1, node("Conv", ["x", "w"], ["y"])) + field(2, b"main") + field(5, w) + field(11, x) + field(12, y)
        (self.path / "conv64.onnx").write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 20)))


def pattern(line, is_measured):
    """A regular expression of what the line stands for."""
    parts = []
    for part in line.split("..."):
        text = re.escape(part)
        parts.append(re.sub(r"\d+(?:\\?\.\d+)?(?:e\\?[-+]\d+)?", r"[-\\d.e+]+", text) if is_measured else text)
    return ".*".join(parts)


def has_cells(row, expected, is_measured):
    """Whether each cell of an expected table row is in the printed one, in order."""
    cells = [pattern(cell, is_measured) for cell in re.split(r" {2,}", expected.strip())]
    return re.fullmatch(r".*?" + r"\s{2,}(?:.*\s{2,})?".join(cells) + r".*", row) is not None


def compare(expected, printed, is_measured):
    """The first expected line that is not there; None if all are, in order."""
    k = 0
    for i, line in enumerate(expected):
        if line.strip() == "...":
            following = expected[i + 1] if i + 1 < len(expected) else None
            while k < len(printed) and (following is None or re.fullmatch(pattern(following, is_measured), printed[k]) is None):
                k += 1
            continue
        is_row = is_measured and re.search(r"\S {2,}\S", line)
        good = k < len(printed) and (has_cells(printed[k], line, is_measured) if is_row else re.fullmatch(pattern(line, is_measured), printed[k]))
        if not good:
            return f"expected: {line}\n  printed: {printed[k] if k < len(printed) else '(the end)'}"
        k += 1
    return None if k == len(printed) else f"printed besides: {printed[k]}"


def main(smelt, source):
    smelt, source = pathlib.Path(smelt).resolve(), pathlib.Path(source).resolve()
    engine = os.environ.get("SMELT_ENGINE") or str(source / ".deps/onnxruntime/libonnxruntime.so")
    if not pathlib.Path(engine).exists():
        required = "engine" in os.environ.get("SMELT_TESTS_REQUIRE", "").split()
        print(f"{'FAIL' if required else 'skip'}: no engine at {engine}")
        return 1 if required else 0
    environment = {**os.environ, "SMELT_ENGINE": engine, "PATH": f"{smelt.parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    count = failed = 0
    for page in [source / "README.md", *sorted((source / "docs").rglob("*.md"))]:
        for heading, command, expected in blocks(page):
            with tempfile.TemporaryDirectory() as folder:
                work = Folder(smelt, source, pathlib.Path(folder))
                work.prepare(heading)
                run = subprocess.run(shlex.split(command), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, timeout=300)
            problem = compare(expected, run.stdout.splitlines(), heading in MEASURED)
            count, failed = count + 1, failed + (problem is not None)
            if problem is not None:
                print(f"{page.relative_to(source)}, {heading}: $ {command}\n  {problem}", flush=True)
    print(f"commands: {count - failed} passed, {failed} failed")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
