"""The figures of docs/performance.md, measured in one run on this machine. Standard library only.

usage: run.py SMELT [--large] [MODEL.onnx ...]

Conversions are compared with `cp` and `sha256sum` of the same bytes: a ratio of processor time (user + system, the least of several runs).
Without models: the bundled ones, a synthetic network of 100 MB, and what SMELT_BENCH_MODELS (a folder) holds. --large adds a synthetic
model of 10 GB (a sparse file; the packages take 7.5 GB meanwhile). Exits with 1 where peak memory is over its bound, which does not depend on how busy the
machine is: 64 MiB + 1.3 times the largest tensor, for int8 2 times; 200 MiB for the 10 GB model.
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20
VARIANTS = {"fp32": ["--precision", "fp32"], "fp16": ["--precision", "fp16"], "int8": ["--weights", "int8"]}
SHAPES = {
    "sentiment": ["input_ids:1x48"], "fill_mask": ["input_ids:1x32"],
    "bert_large_qa": ["input_ids:1x384", "attention_mask:1x384", "token_type_ids:1x384"],
}
WIDTHS = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}  # bytes by ONNX element type


class Measured:
    """The least processor and wall seconds of `runs` runs, and their highest peak memory in MiB."""

    def __init__(self, command, runs):
        self.cpu = self.wall = float("inf")
        self.peak = 0.0
        for _ in range(runs):
            start = time.perf_counter()
            process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"failed: {' '.join(map(str, command))}")
            self.wall = min(self.wall, time.perf_counter() - start)
            self.cpu = min(self.cpu, usage.ru_utime + usage.ru_stime)
            self.peak = max(self.peak, usage.ru_maxrss / 1024)


def synthetic(kind, path, size):
    """In a process of its own: what this one holds would count as its children's peak memory."""
    subprocess.run([sys.executable, HERE / "make_model.py", kind, path, str(size)], check=True)


class FileBytes:
    """Single bytes of a file. Not mapped: the pages, too, would count as the children's peak."""

    def __init__(self, path):
        self.file, self.size = open(path, "rb"), os.path.getsize(path)

    def __getitem__(self, at):
        return os.pread(self.file.fileno(), 1, at)[0]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data, begin, end):
    """The fields of a protobuf message: number, and the value or the (begin, end) of it."""
    while begin < end:
        key, begin = varint(data, begin)
        if key & 7 == 0:
            value, begin = varint(data, begin)
        elif key & 7 == 2:
            size, begin = varint(data, begin)
            value, begin = (begin, begin + size), begin + size
        else:
            width = 8 if key & 7 == 1 else 4
            value, begin = (begin, begin + width), begin + width
        yield key >> 3, value


def largest_tensor(model):
    """Bytes of the largest initializer."""
    largest, data = 0, FileBytes(model)
    for graph in (value for number, value in fields(data, 0, data.size) if number == 7):
        for tensor in (value for number, value in fields(data, *graph) if number == 5):
            count, width = 1, 4
            for number, value in fields(data, *tensor):
                if number == 1 and isinstance(value, int):
                    count *= value
                elif number == 1:  # packed
                    at, end = value
                    while at < end:
                        extent, at = varint(data, at)
                        count *= extent
                elif number == 2:
                    width = WIDTHS.get(value, 4)
            largest = max(largest, count * width)
    return largest


class Bench:
    def __init__(self, smelt, work):
        self.smelt, self.work, self.failed = smelt, work, False

    def convert(self, model, flags, runs, shapes=()):
        out = self.work / "out.mlpackage"
        inputs = [word for shape in shapes for word in ("--input", shape)]
        measured = Measured([self.smelt, "convert", model, "-o", out, "--no-validate", "--force", "--quiet", *flags, *inputs], runs)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        shutil.rmtree(out)
        return measured, size

    def verdict(self, peak, bound):
        self.failed |= peak > bound
        return f"{peak:8.1f} {bound:8.1f}{'' if peak <= bound else '  OVER'}"

    def conversions(self, models):
        print(f"{'model':<26} {'MiB':>8} {'cp+sha s':>9} {'variant':>8} {'cpu s':>7} {'ratio':>6} {'peak MiB':>8} {'bound':>8}")
        for model in models:
            name = model.stem if model.parent.parent.name != "models" else model.parent.name
            files = [model, *model.parent.glob(model.name + ".data")]
            size = sum(f.stat().st_size for f in files)
            runs = 5 if size < 200 * MIB else 3
            copy = sum(Measured(["cp", f, self.work / "copy"], runs).cpu + Measured(["sha256sum", f], runs).cpu for f in files)
            os.unlink(self.work / "copy")
            largest = largest_tensor(model)
            for variant, flags in VARIANTS.items():
                measured, _ = self.convert(model, flags, runs, SHAPES.get(name, ()))
                bound = 64 + (2 if variant == "int8" else 1.3) * largest / MIB
                print(f"{name[-26:]:<26} {size / MIB:8.1f} {copy:9.3f} {variant:>8} {measured.cpu:7.3f} {measured.cpu / max(copy, 1e-3):6.2f} {self.verdict(measured.peak, bound)}", flush=True)

    def two_workers(self, model):
        name = model.stem
        one, _ = self.convert(model, [*VARIANTS["int8"], "-j", "1"], 3, SHAPES.get(name, ()))
        two, _ = self.convert(model, [*VARIANTS["int8"], "-j", "2"], 3, SHAPES.get(name, ()))
        print(f"\nint8 of {name}: {one.wall:.2f} s with -j 1, {two.wall:.2f} s with -j 2: {one.wall / two.wall:.2f} times as fast ({os.cpu_count()} processors)")

    def start(self):
        for flag in ("--version", "--help"):
            times = [Measured([self.smelt, flag], 1).wall * 1e3 for _ in range(30)]
            print(f"smelt {flag}: {statistics.median(times):.1f} ms (median of 30 starts)")
        stripped = self.work / "stripped"
        subprocess.run(["strip", "-o", stripped, self.smelt], check=True)
        print(f"binary: {stripped.stat().st_size / MIB:.1f} MiB stripped, the engine is a library opened at run time")

    def chains(self):
        print("\nnodes in a chain    cpu s  us a node  peak MiB")
        for count in (25_000, 50_000, 100_000):
            model = self.work / "chain.onnx"
            synthetic("chain", model, count)
            measured, _ = self.convert(model, [], 3)
            print(f"{count:16} {measured.cpu:8.2f} {measured.cpu / count * 1e6:10.1f} {measured.peak:9.1f}")

    def validation(self, model):
        package = self.work / "v.mlpackage"
        subprocess.run([self.smelt, "convert", model, "-o", package, "--precision", "fp32", "--no-validate", "--quiet"], check=True)
        print(f"\nvalidate {model.stem}  samples    cpu s  ms a sample  peak MiB")
        for samples in (100, 1000):
            measured = Measured([self.smelt, "validate", package, "--baseline", model, "--samples", samples, "--quiet"], 1)
            print(f"{'':<{len(model.stem) + 9}} {samples:8} {measured.cpu:8.2f} {measured.cpu / samples * 1e3:12.2f} {measured.peak:9.1f}", flush=True)

    def large(self):
        model = self.work / "large.onnx"
        synthetic("sparse", model, 10 << 30)
        print("\n10 GiB synthetic model  variant    cpu s  package MiB  peak MiB  bound")
        for variant in ("fp16", "int8"):
            measured, size = self.convert(model, VARIANTS[variant], 1)
            print(f"{variant:>31} {measured.cpu:8.2f} {size / MIB:12.1f} {self.verdict(measured.peak, 200)}", flush=True)


def main(arguments):
    smelt, *rest = arguments
    smelt = pathlib.Path(smelt).resolve()
    is_large = "--large" in rest
    given = [pathlib.Path(p) for p in rest if p != "--large"]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(smelt, pathlib.Path(folder))
        models = given
        if not models:
            convolutions = pathlib.Path(folder) / "convolutions.onnx"
            synthetic("convolutions", convolutions, 25)
            models = [*sorted((HERE.parent / "fixtures/models").glob("*/*.onnx")), convolutions]
            models += sorted(pathlib.Path(os.environ["SMELT_BENCH_MODELS"]).glob("*.onnx")) if "SMELT_BENCH_MODELS" in os.environ else []
        bench.start()
        print()
        bench.conversions(models)
        bench.two_workers(max(models, key=lambda m: sum(f.stat().st_size for f in m.parent.glob(m.name + "*"))))
        bench.chains()
        bench.validation(next((m for m in models if m.stem == "resnet50"), models[0]))
        if is_large:
            bench.large()
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
