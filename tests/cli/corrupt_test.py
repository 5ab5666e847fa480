#!/usr/bin/env python3
"""usage: corrupt_test.py SMELT SOURCE_DIR [--limited | --sanitized] [--only TEXT]

Runs every case of fixtures/corrupt/cases.tsv as a user would, each in a folder of its own and within limits on memory and time. It must end with the
exit status and the code of the table, print nothing but that one error, and leave the folder as it was; where the table says 0, the package that
comes out must check. Every ONNX file is inspected too: a report or a coded error, as JSON. Cases that run parity are skipped, and counted, where
there is no engine.
"""
import argparse
import concurrent.futures
import filecmp
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ADDRESSES = 4 << 20  # KiB, with --limited; the address sanitizer needs terabytes
RESIDENT = 1 << 20  # KiB
SECONDS = 120  # ends a hang


def state(folder):
    """What is in a folder: kinds, links, digests. Pipes are not opened."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = "link to " + os.readlink(path)
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


def read_table(path):
    lines = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


class Runner:
    def __init__(self, smelt, source, is_limited, work):
        self.smelt, self.is_limited, self.work = smelt, is_limited, work
        self.engine = pathlib.Path(os.environ.get("SMELT_ENGINE") or source / ".deps/onnxruntime/libonnxruntime.so")

    def run(self, folder, words):
        """Exit status (or what else ended it), stdout and stderr."""
        environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "SMELT_ENGINE": str(self.engine)}
        limits = f"ulimit -c 0; ulimit -v {ADDRESSES}" if self.is_limited else "ulimit -c 0"
        command = ["/bin/sh", "-c", limits + '; exec "$0" "$@"', str(self.smelt), *words]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
            end = time.monotonic() + SECONDS
            while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
                if time.monotonic() > end:
                    process.kill()
                time.sleep(0.002)
            process.returncode = status = os.waitstatus_to_exitcode(ended[1])
            out.seek(0)
            err.seek(0)
            if self.is_limited and ended[2].ru_maxrss > RESIDENT:
                status = f"{status} and {ended[2].ru_maxrss} KiB of memory"
            return status, out.read().decode(errors="replace"), err.read().decode(errors="replace")

    def problems(self, case):
        """What is wrong with how one case ends; None where it cannot run."""
        if "--no-validate" not in case["command"] and case["command"].split()[0] in ("convert", "validate") and not self.engine.is_file():
            return None
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        for name in ("out", "tmp"):
            (folder / name).mkdir()
        (folder / "out/precious").write_text("here before\n")
        before = state(folder)
        file = str(self.work / "cases" / case["file"])
        words = [file if word == "FILE" else word.replace("CASES", str(self.work / "cases")) for word in case["command"].split()]
        status, out, err = self.run(folder, words)
        found = []
        want, code, text = int(case["exit"]), case["code"], out + err
        if status != want:
            found.append(f"exit status {status}, not {want}")
        if "Sanitizer" in text or "runtime error" in text:
            found.append("a sanitizer's report")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
            found.append("a control character in what is printed")
        if case["word"] != "-" and case["word"] not in text:
            found.append(f'the output lacks "{case["word"]}"')
        if code != "-" and not err.startswith(f"error[{code}"):
            found.append(f"stderr does not begin with {code}")
        if want not in (0, 3):
            if out:
                found.append("stdout is not empty")
            if (after := state(folder)) != before:
                found.append(f"files changed: {sorted(set(after.items()) ^ set(before.items()))}")
        elif "-o out/a.mlpackage" in case["command"]:
            found += self.taken(folder)
        if case["file"].endswith(".onnx"):
            found += self.inspected(folder, file, want)
        shutil.rmtree(folder)
        return [line for line in found if line] and found + [text]

    def taken(self, folder):
        """A package that came out of a strange input: whole, alone, and it reads back."""
        found = []
        names = {str(path.relative_to(folder)) for path in folder.glob("*/*")}
        if names != {"out/precious", "out/a.mlpackage", "out/manifest.json", "out/.manifest.lock"}:
            found.append(f"the folder holds {sorted(names)}")
        status, out, _ = self.run(folder, ["manifest", "check", "out"])
        if status != 0 or not out.endswith(" 0 differences\n"):
            found.append(f"the manifest does not check: {status}, {out}")
        return found

    def inspected(self, folder, file, converts):
        status, out, err = self.run(folder, ["inspect", "--json", file])
        if status not in (0, converts):
            return [f"inspect ends with {status}: {err}"]
        try:
            report = json.loads(out)
        except ValueError as error:
            return [f"inspect --json gives no JSON: {error}"]
        if report["exit"] != status or err:
            return [f"inspect --json says {report['exit']}, ended with {status} and {err!r}"]
        return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("smelt", type=pathlib.Path)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--limited", action="store_true")
    parser.add_argument("--sanitized", dest="limited", action="store_false")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    kept = arguments.source.resolve() / "fixtures/corrupt"
    failures = 0
    with tempfile.TemporaryDirectory(prefix="smelt-corrupt-") as name:
        work = pathlib.Path(name)
        sys.dont_write_bytecode = True
        for group in ("small", "made"):
            subprocess.run([sys.executable, "-B", kept / "make.py", group, work / "cases"], check=True)
        runner = Runner(arguments.smelt.resolve(), arguments.source.resolve(), arguments.limited, work)
        if not runner.engine.is_file() and "engine" in os.environ.get("SMELT_TESTS_REQUIRE", "").split():
            sys.exit(f"FAIL: this run promises the engine, and there is no {runner.engine}")
        cases = read_table(work / "cases/cases.tsv")
        for case in cases:  # what is checked in is what the script writes
            file = work / "cases" / case["file"]
            for path in [file, *file.rglob("*")] if case["kept"] == "file" else []:
                copy = kept / path.relative_to(work / "cases")
                if path.is_file() and not (copy.is_file() and filecmp.cmp(path, copy, shallow=False)):
                    print(f"FAIL {copy} is not what make.py writes")
                    failures += 1
        if not filecmp.cmp(work / "cases/cases.tsv", kept / "cases.tsv", shallow=False):
            print("FAIL cases.tsv is not what make.py writes")
            failures += 1
        chosen = [case for case in cases if arguments.only in case["file"]]
        skipped = 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for case, found in zip(chosen, pool.map(runner.problems, chosen)):
                if found is None:
                    skipped += 1
                elif found:
                    failures += 1
                    print(f"FAIL {case['file']} ({case['what is wrong']}): " + "\n     ".join(found))
    print(f"{len(chosen)} cases, {skipped} skipped (no engine), {failures} failures")
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
