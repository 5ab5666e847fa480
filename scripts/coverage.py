#!/usr/bin/env python3
"""Prints the line coverage of a build with gcc --coverage whose tests have run.

usage: coverage.py BUILD FOLDER [LEAST]

A line counts where any object of the build has code for it (templates and headers: where any instance has), and is covered where any ran it.
Prints a row for each file below FOLDER and the sum; fails where the sum is below LEAST percent (85 unless told otherwise).
"""
import json
import pathlib
import subprocess
import sys


def lines_of(build, folder):
    """{file: {line: times}} of every source below `folder`."""
    root = pathlib.Path.cwd()
    files = {}
    for counters in sorted(build.rglob("*.gcno")):  # those that never ran, too
        out = subprocess.run(["gcov", "--json-format", "--stdout", str(counters)], check=True, capture_output=True).stdout
        for text in out.splitlines():
            for file in json.loads(text)["files"]:
                path = pathlib.Path(file["file"])
                path = (root / path).resolve()
                if not path.is_relative_to(folder):
                    continue
                lines = files.setdefault(str(path.relative_to(root)), {})
                for line in file["lines"]:
                    number = line["line_number"]
                    lines[number] = lines.get(number, 0) + line["count"]
    return files


def percent(covered, all_lines):
    return 100.0 * covered / all_lines if all_lines else 100.0


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    files = lines_of(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve())
    if not files:
        sys.exit(f"coverage: nothing of {sys.argv[2]} was compiled in {sys.argv[1]} with --coverage")
    least = float(sys.argv[3]) if len(sys.argv) == 4 else 85.0
    covered = total = 0
    for name, lines in sorted(files.items()):
        hit = sum(1 for times in lines.values() if times)
        covered, total = covered + hit, total + len(lines)
        print(f"{percent(hit, len(lines)):6.1f} %  {hit:5} of {len(lines):5}  {name}")
    print(f"{percent(covered, total):6.1f} %  {covered:5} of {total:5}  lines of {sys.argv[2]}")
    if percent(covered, total) < least:
        sys.exit(f"coverage: below {least} %")


if __name__ == "__main__":
    main()
