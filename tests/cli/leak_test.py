#!/usr/bin/env python3
"""usage: leak_test.py SMELT SOURCE_DIR

No output has bytes of a file outside the model's folder, whatever the model, the package or the data asks for. A secret lies outside; every path by
which a file can name another leads to it; then everything that was written or printed is searched for any 8 bytes of it. A link that is put in the
place of a file while smelt runs is tried as well, over and over.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

SMELT, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
ENGINE = pathlib.Path(os.environ.get("SMELT_ENGINE") or SOURCE / ".deps/onnxruntime/libonnxruntime.so")
RACES = 40
SECONDS = 120  # ends a hang

sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "fixtures/corrupt"))
import make  # noqa: E402

COUNT = 4096
# Floats that convert exactly and that nothing else here holds: their bytes are found in a float32 package as they are.
SECRET = b"".join(make.struct.pack("<f", 1.0 + k / COUNT) for k in range(COUNT))
PUBLIC = bytes(len(SECRET))
NEEDLES = {SECRET[at : at + 8] for at in range(0, len(SECRET) - 8, 4)}


def model(location, entries=None):
    weight = make.external("w", COUNT, location, entries)
    return make.model(make.ADD, weight, dims=(1, COUNT))


def check(condition, *what):
    if not condition:
        sys.exit("FAIL " + " ".join(str(w) for w in what))


def leaks(data):
    return any(data[at : at + 8] in NEEDLES for at in range(len(data) - 7))


class Run:
    def __init__(self, work):
        self.work, self.taken, self.refused = work, 0, 0

    def smelt(self, *words):
        """Runs in the folder of outputs, and searches what came out."""
        out = self.work / "out"
        shutil.rmtree(out, ignore_errors=True)
        (out / "tmp").mkdir(parents=True)
        environment = {**os.environ, "TMPDIR": str(out / "tmp"), "SMELT_ENGINE": str(ENGINE)}
        got = subprocess.run([SMELT, *map(str, words)], cwd=out, env=environment, capture_output=True, timeout=SECONDS, check=False)
        self.taken += got.returncode == 0
        self.refused += got.returncode != 0
        check(got.returncode in (0, 1, 2, 3, 4, 5), words, "ended with", got.returncode, got.stderr.decode(errors="replace"))
        for name, data in [("stdout", got.stdout), ("stderr", got.stderr)] + [(p, p.read_bytes()) for p in out.rglob("*") if p.is_file()]:
            check(not leaks(data), words, "shows the secret in", name)
        return got.returncode


def external_data(work, run):
    """Paths of an ONNX file's external data."""
    ways = ["../secret.bin", str(work / "secret.bin"), "sub/../../secret.bin", "./../secret.bin", "link.bin", "links/secret.bin", "chain.bin", "proc.bin",
            "/proc/self/cwd/../secret.bin", "..", ".//..//secret.bin", "sub/up/secret.bin", "file://../secret.bin", "~/secret.bin", "secret.bin\0"]
    folder = work / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.bin").symlink_to("../secret.bin")
    (folder / "links").symlink_to("..")
    (folder / "chain.bin").symlink_to("link.bin")
    (folder / "proc.bin").symlink_to("/proc/self/cwd/../secret.bin")
    (folder / "sub/up").symlink_to("../..")
    (folder / "plain.bin").write_bytes(PUBLIC)
    for way in ways:
        (folder / "m.onnx").write_bytes(model(way))
        check(run.smelt("convert", folder / "m.onnx", "--no-validate", "--precision", "fp32", "-o", "a.mlpackage") != 0, way, "was taken")
        run.smelt("variants", folder / "m.onnx", "--no-validate", "-o", "v", "--variants", "fp32,fp16")
        run.smelt("inspect", "--json", folder / "m.onnx")
    for offset in ("16384", "16380", "9223372036854775807"):  # past the end of a file, which may lie before another in memory
        (folder / "m.onnx").write_bytes(model("plain.bin", make.entry("offset", offset)))
        check(run.smelt("convert", folder / "m.onnx", "--no-validate", "-o", "a.mlpackage") != 0, offset, "was taken")
    (folder / "m.onnx").write_bytes(model("plain.bin"))
    check(run.smelt("convert", folder / "m.onnx", "--no-validate", "--precision", "fp32", "-o", "a.mlpackage") == 0, "the good model was refused")


def packages(work, run):
    """Paths of a package's manifest and program, seen by the commands that read packages."""
    weights = make.weight_bin(values=SECRET[:64])
    (work / "secret-weights.bin").write_bytes(weights)
    (work / "weights").mkdir()
    (work / "weights/weight.bin").write_bytes(weights)
    (work / "base.onnx").write_bytes(make.model(make.ADD, make.weight("w", 16), dims=(1, 16)))
    place = f"Data/{make.AUTHOR}"

    def linked(path):
        (path / place / "weights").mkdir()
        (path / place / "weights/weight.bin").symlink_to(work / "secret-weights.bin")

    ways = [
        make.package(text=make.manifest(**make.entries(weights_path="../../../weights"))),
        make.package(text=make.manifest(**make.entries(weights_path=str(work / "weights")))),
        make.package(specification=make.mlmodel(blob="@model_path/../../../secret-weights.bin")),
        make.package(specification=make.mlmodel(blob=str(work / "secret-weights.bin"))),
        make.package(specification=make.mlmodel(blob="@model_path/@model_path/../../../../secret-weights.bin")),
        make.package(weights=b"", special=linked),
        make.package(weights=b"", special=lambda path: (path / place / "weights").symlink_to(work / "weights")),
    ]
    for number, way in enumerate(ways):
        package = work / f"packages/{number}.mlpackage"
        way(package)
        run.smelt("inspect", "--json", package)
        if ENGINE.is_file():
            got = run.smelt("validate", package, "--baseline", work / "base.onnx", "--samples", 1, "--save", "saved")
            check(got not in (0, 3), "package", number, "was taken")


def manifests(work, run):
    """A manifest.json whose entries name files elsewhere."""
    good = SOURCE / "fixtures/corrupt/good.onnx"
    folder = work / "noted"
    folder.mkdir()
    subprocess.run([SMELT, "convert", good, "--no-validate", "-o", folder / "a.mlpackage"], check=True, stdout=subprocess.DEVNULL)
    text = (folder / "manifest.json").read_text()
    for way in ("../secret.bin", str(work / "secret.bin"), "a.mlpackage/../../secret.bin"):
        for old in ("a.mlpackage/Manifest.json", "a.mlpackage"):
            (folder / "manifest.json").write_text(text.replace(json.dumps(old), json.dumps(way)))
            check(run.smelt("manifest", "check", folder) != 0, way, "was taken")


def races(work, run):
    """A file that is now itself, now a link to the secret."""
    folder = work / "race"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(model("w.bin"))
    (folder / "w.bin").write_bytes(PUBLIC)
    ends = threading.Event()

    def swap():
        for _ in iter(ends.is_set, True):
            (folder / "new").symlink_to(work / "secret.bin")
            os.replace(folder / "new", folder / "w.bin")
            (folder / "new").write_bytes(PUBLIC)
            os.replace(folder / "new", folder / "w.bin")

    swapper = threading.Thread(target=swap)
    swapper.start()
    before = run.taken, run.refused
    try:
        for _ in range(RACES):
            run.smelt("convert", folder / "m.onnx", "--no-validate", "--precision", "fp32", "-o", "a.mlpackage")
    finally:
        ends.set()
        swapper.join()
    print(f"ok   races: {run.taken - before[0]} taken, {run.refused - before[1]} refused")


def main():
    with tempfile.TemporaryDirectory(prefix="smelt-leak-") as name:
        work = pathlib.Path(name)
        (work / "secret.bin").write_bytes(SECRET)
        run = Run(work)
        # The search itself: a package made from the secret shows it.
        (work / "m.onnx").write_bytes(model("secret.bin"))
        shutil.copytree(work, work.parent / (work.name + "-own"))
        own = work.parent / (work.name + "-own")
        try:
            subprocess.run([SMELT, "convert", own / "m.onnx", "--no-validate", "--precision", "fp32", "-o", own / "a.mlpackage"], check=True, stdout=subprocess.DEVNULL)
            check(leaks((own / "a.mlpackage/Data/com.apple.CoreML/weights/weight.bin").read_bytes()), "the search does not find what is there")
        finally:
            shutil.rmtree(own)
        for part in (external_data, packages, manifests, races):
            part(work, run)
            print("ok  ", part.__name__)
        print(f"{run.taken + run.refused} runs, {run.refused} refused, nothing shown")


if __name__ == "__main__":
    main()
