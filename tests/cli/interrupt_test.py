#!/usr/bin/env python3
"""usage: interrupt_test.py SMELT SOURCE_DIR

What a conversion leaves when it does not end well: killed at random points, interrupted, on a full disk, into a read-only folder, with its standard
streams closed, beside another one in the same folder. The old package or the new one is whole, and nothing else is there, at the latest after the
next run. Parts that need the engine, or root to mount a small disk, are skipped, and named, where they cannot run.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SMELT, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
ENGINE = pathlib.Path(os.environ.get("SMELT_ENGINE") or SOURCE / ".deps/onnxruntime/libonnxruntime.so")
POINTS, ROUNDS = 20, 100
SECONDS = 120  # ends a hang

sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "fixtures/corrupt"))
import make  # noqa: E402


def digest(path):
    """Of a file, or of a folder with all that is in it; None where there is nothing."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.is_dir():
        return None
    return hashlib.sha256(repr([(str(p.relative_to(path)), p.is_dir() or digest(p)) for p in sorted(path.rglob("*"))]).encode()).hexdigest()


def check(condition, *what):
    if not condition:
        sys.exit("FAIL " + " ".join(str(w) for w in what))


class Folder:
    """Where one part of the test works: model, out and tmp."""

    def __init__(self, work, name, megabytes=2):
        self.path = work / name
        for folder in ("out", "tmp"):
            (self.path / folder).mkdir(parents=True)
        columns = megabytes * 256
        weight = make.data(5, make.tensor("w", [1024, columns], body=make.data(9, make.struct.pack("<1024f", *(k / 65536 for k in range(1024))) * (megabytes * 256))))
        borders = {"inputs": make.value_info("x", (1, 1024)), "outputs": make.value_info("y", (1, columns))}
        (self.path / "model.onnx").write_bytes(make.model(make.node("MatMul", ["x", "w"], ["y"]), weight, **borders))
        self.environment = {**os.environ, "TMPDIR": str(self.path / "tmp"), "SMELT_ENGINE": str(ENGINE), "LC_ALL": "C"}

    def convert(self, *words, out="out/a.mlpackage", validates=False):
        return [str(SMELT), "convert", "model.onnx", "-o", out, *([] if validates else ["--no-validate"]), *words]

    def start(self, command, **options):
        return subprocess.Popen(command, cwd=self.path, env=self.environment, **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options})

    def run(self, command, **options):
        process = self.start(command, **options)
        err = process.communicate(timeout=SECONDS)[1]
        return process.returncode, (err or b"").decode()

    def done(self, command, status=0, code="", **options):
        got, err = self.run(command, **options)
        check(got == status and code in err, self.path.name, command[1:], "ended with", got, err)

    def left(self):
        """What is in the folders beside what belongs there."""
        names = {str(p.relative_to(self.path)) for p in [*self.path.glob("out/*"), *self.path.glob("tmp/*")]}
        return sorted(names - {"out/a.mlpackage", "out/manifest.json", "out/.manifest.lock"})


def seconds_of(folder, command):
    start = time.monotonic()
    folder.done(command)
    return time.monotonic() - start


def interrupted(work, name, number, validates):
    """A run that replaces the old package by a new one is ended by a signal at random points of its time."""
    folder = Folder(work, name)
    package = folder.path / "out/a.mlpackage"
    old, new = (folder.convert("--force", "--precision", p, validates=validates) for p in ("fp32", "fp16"))
    new_time = seconds_of(folder, new)
    new_digest = digest(package)
    folder.done(old)
    old_digest = digest(package)
    check(new_digest != old_digest, "the two packages are the same")
    ended = []
    for point in range(POINTS if not validates else POINTS // 4):
        process = folder.start(new, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a shell's background ignores it
        time.sleep(random.random() * new_time)
        process.send_signal(number)
        process.communicate(timeout=SECONDS)
        ended.append(process.returncode)
        if number == signal.SIGKILL:
            check(process.returncode in (0, -number), name, "ended with", process.returncode)
        else:
            check(process.returncode in (0, 130, -number), name, "ended with", process.returncode)  # -number: while the program is loaded
            check(folder.left() == [], name, "left", folder.left())
        check(digest(package) in (old_digest, new_digest), name, "left half a package")
        folder.done(old)
        check(digest(package) == old_digest and folder.left() == [], name, "the next run left", folder.left())
    folder.done([str(SMELT), "manifest", "check", "out"])
    expected = -number if number == signal.SIGKILL else 130
    check(expected in ended, name, "no run was ended by the signal:", ended)
    print(f"ok   {name}: {ended.count(expected)} of {len(ended)} ended by the signal")


def leftovers(work):
    """What a killed run left goes with the next run of the same output, even one that is refused; what is in use, or the user's own, stays."""
    folder = Folder(work, "leftovers")
    folder.done(folder.convert())
    out = folder.path / "out"
    for name in ("a.mlpackage.smelt-tmp-aaaaaa", "b.mlpackage.smelt-tmp-aaaaaa", "a.mlpackage.smelt-tmp-backup-of-mine", "a.mlpackage.tmp-backup"):
        (out / name / "new").mkdir(parents=True)
    (out / "manifest.json.smelt-tmp-aaaaaa").write_text("half")
    (out / "a.mlpackage.smelt-tmp-bbbbbb").symlink_to("/")
    busy = os.open(out / "a.mlpackage.smelt-tmp-aaaaaa", os.O_RDONLY)
    fcntl.flock(busy, fcntl.LOCK_EX)
    folder.done(folder.convert(), 1, "E0103")
    stay = ["out/a.mlpackage.smelt-tmp-backup-of-mine", "out/a.mlpackage.smelt-tmp-bbbbbb", "out/a.mlpackage.tmp-backup", "out/b.mlpackage.smelt-tmp-aaaaaa"]
    check(folder.left() == sorted(["out/a.mlpackage.smelt-tmp-aaaaaa", *stay]), "leftovers: in use", folder.left())
    os.close(busy)
    folder.done(folder.convert(), 1, "E0103")
    check(folder.left() == stay, "leftovers", folder.left())
    # Killed between the two renames of a file system that cannot exchange: the old package is put back.
    kept = digest(out / "a.mlpackage")
    (out / "a.mlpackage.smelt-tmp-cccccc").mkdir()
    (out / "a.mlpackage").rename(out / "a.mlpackage.smelt-tmp-cccccc/old")
    folder.done(folder.convert(), 1, "E0103")
    check(digest(out / "a.mlpackage") == kept and folder.left() == stay, "leftovers: the old package", folder.left())
    print("ok   leftovers")


@contextlib.contextmanager
def small_disk(folder):
    """Mounts a disk of 1 MB on out; False where this process may not."""
    out = folder.path / "out"
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", out], stderr=subprocess.DEVNULL).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", out], check=True)


def full_disk(work):
    folder = Folder(work, "full-disk", 4)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    folder.done(folder.convert(), 1, "E0102", preexec_fn=limit)
    check(folder.left() == [] and not list((folder.path / "out").iterdir()), "full-disk left", folder.left())
    with small_disk(folder) as mounted:
        if not mounted:
            print("skip full-disk: a disk of 1 MB cannot be mounted; only the limit on a file's size was tried")
            return
        folder.done(folder.convert(), 1, "No space left")
        check(not list((folder.path / "out").iterdir()), "full-disk left", folder.left())
        subprocess.run(["mount", "-o", "remount,ro", folder.path / "out"], check=True)
        folder.done(folder.convert(), 1, "Read-only file system")
    print("ok   full-disk, read-only disk")


def read_only(work):
    folder = Folder(work, "read-only")
    if os.geteuid() == 0:
        print("skip read-only folder: root may write into any (a read-only disk was tried)")
        return
    (folder.path / "out").chmod(0o555)
    folder.done(folder.convert(), 1, "E0102")
    (folder.path / "out").chmod(0o755)
    check(not list((folder.path / "out").iterdir()), "read-only left", folder.left())
    print("ok   read-only folder")


def closed_streams(work):
    """No crash, no output into a file that took a closed stream's number, and no success where nothing could be said."""
    folder = Folder(work, "streams")
    shell = lambda text: ["/bin/sh", "-c", text, str(SMELT)]
    for streams, status in [(">&-", 1), (">&- 2>&-", 1), ("<&- >&- 2>&-", 1), ("2>&-", 0), ("<&-", 0), ("2>/dev/full", 0)]:
        for command in ("inspect model.onnx", "inspect --json model.onnx", "manifest schema", "--help", "--version"):
            got, err = folder.run(shell(f'"$0" {command} {streams}'))
            check(got == status and (status == 0 or "2>&-" in streams or "E0102" in err), streams, command, "ended with", got, err)
    for streams in (">&-", "<&- >&- 2>&-"):
        got, _ = folder.run(shell(f'"$0" convert model.onnx --no-validate --force -o out/a.mlpackage {streams}'))
        check(got == 1 and folder.left() == [], streams, "ended with", got, folder.left())
        folder.done([str(SMELT), "manifest", "check", "out"])
    for streams in ("2>&-", "2>/dev/full"):
        got, _ = folder.run(shell(f'"$0" inspect none.onnx {streams}'))
        check(got == 1, streams, "an error ended with", got)
    reader, writer = os.pipe()
    os.close(reader)
    for command in ("inspect model.onnx", "inspect --json model.onnx", "--help"):
        got, err = folder.run([str(SMELT), *command.split()], stdout=writer)
        check(got == 1 and "E0102" in err, "a closed pipe:", command, "ended with", got, err)
    os.close(writer)
    print("ok   closed streams")


def two_processes(work):
    """Two at a time add entries to one manifest; two at a time want one output."""
    folder = Folder(work, "two", 1)
    entries = lambda: {m["model"]: m["target"] for m in json.loads((folder.path / "out/manifest.json").read_text())["models"]}
    for k in range(ROUNDS):
        target = ("ios16", "ios18")[k % 2]
        processes = [folder.start(folder.convert("--force", "--target", target, out=f"out/{name}.mlpackage")) for name in "ab"]
        for process in processes:
            check(process.wait(timeout=SECONDS) == 0, "two processes:", process.stderr.read())
        check(entries() == {"a": target, "b": target}, "two processes: round", k, entries())
    shutil.rmtree(folder.path / "out")
    (folder.path / "out").mkdir()
    for k in range(POINTS):
        package = folder.path / "out/a.mlpackage"
        shutil.rmtree(package, ignore_errors=True)
        processes = [folder.start(folder.convert("--precision", p)) for p in ("fp16", "fp32")]
        statuses = sorted(process.wait(timeout=SECONDS) for process in processes)
        check(statuses == [0, 1] and folder.left() == [], "two processes, one output:", statuses, folder.left())
        folder.done([str(SMELT), "inspect", "out/a.mlpackage"])
    print(f"ok   two processes, {ROUNDS} times")


def main():
    if not ENGINE.is_file() and "engine" in os.environ.get("SMELT_TESTS_REQUIRE", "").split():
        sys.exit(f"FAIL: this run promises the engine, and there is no {ENGINE}")
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print("seed", seed)
    with tempfile.TemporaryDirectory(prefix="smelt-interrupt-") as name:
        work = pathlib.Path(name)
        leftovers(work)
        closed_streams(work)
        full_disk(work)
        read_only(work)
        for signal_name, number in (("SIGKILL", signal.SIGKILL), ("SIGTERM", signal.SIGTERM), ("SIGINT", signal.SIGINT)):
            interrupted(work, signal_name, number, validates=False)
            if not ENGINE.is_file():
                print(f"skip {signal_name} during validation: no engine at {ENGINE}")
            elif number != signal.SIGINT:
                interrupted(work, f"{signal_name}-validating", number, validates=True)
    # Where there is a disk in memory: a hundred rounds flush some two thousand files.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 32 << 20 else None
    with tempfile.TemporaryDirectory(prefix="smelt-interrupt-", dir=memory) as name:
        two_processes(pathlib.Path(name))


if __name__ == "__main__":
    main()
