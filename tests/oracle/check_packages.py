"""Packages against Apple's open reader and an independent executor.

usage: check_packages.py SMELT CORPUS ORACLE

Converts every model of the list at ios16 and ios18 in three variants; each package must load in Apple's reader, and give on a
sample what smelt's own read-back gives: fp32 within 1e-4 of the peak, float16 forms within two units of float16 at the peak
(the executor adds in another order). Prints a line for each difference, then "N passed, N failed".
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

MODELS = [
    ("digits_cnn/model", []), ("digits_cnn/model_dynamo", []), ("digits_cnn/model_ln_silu", []),
    ("fastvit_tiny/reparam", []), ("fastvit_tiny/train_time", []),
    ("sentiment/model", ["--input", "input_ids:1x48"]), ("sentiment/model_dynamo", ["--input", "input_ids:1x48"]),
    ("sentiment/model_int32", []),
    ("fill_mask/model", ["--input", "input_ids:1x32"]), ("fill_mask/model_dynamo", ["--input", "input_ids:1x32"]),
]
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-3, "int8": 2e-3}  # times max(1, peak)


def fits(array):
    """A feed as the package declares it: Core ML's integers are 32 bits wide."""
    return array.astype(np.int32) if array.dtype in (np.int64, np.bool_) else array


def difference(milrun, package, folder):
    inputs = {name: fits(array) for name, array in np.load(folder / "inputs.npz").items()}
    results = milrun.run(str(package), inputs)
    worst = 0.0
    with np.load(folder / "variant.npz") as ours:
        for name in ours.files:
            peak = max(1.0, float(np.abs(ours[name]).max()))
            worst = max(worst, float(np.abs(results[name].astype(np.float64) - ours[name]).max()) / peak)
    return worst


def check_model(smelt, corpus, milrun, loads, model, flags, target, scratch):
    source, data = corpus / "trained" / f"{model}.onnx", corpus / "trained" / pathlib.Path(model).parent / "eval.npz"
    out = scratch / f"{model.replace('/', '_')}_{target}"
    subprocess.run([smelt, "variants", source, "-o", out, "--target", target, "--no-validate", "--quiet", *flags], check=True)
    for variant, tolerance in TOLERANCE.items():
        package = out / f"{source.stem}_{variant}.mlpackage"
        name = f"{model} {target} {variant}"
        try:
            loads.check(str(package))
        except Exception as error:  # whatever Apple's reader raises is the finding
            yield f"{name}: Apple's reader refuses it: {error}"
            continue
        saved = out / f"saved_{variant}"
        subprocess.run([smelt, "validate", package, "--baseline", source, "--data", data, "--samples", "1", "--save", saved, "--quiet"], check=True)
        worst = difference(milrun, package, saved)
        yield None if worst < tolerance else f"{name}: the executor differs by {worst:.3g} of the peak, allowed {tolerance}"


def check_full_size(smelt, corpus, loads, name, target, scratch):
    """A full-size architecture with seeded weights. Its int8 form may fail a gate honestly, random weights being what they are."""
    source = scratch / f"{name}.onnx"
    if not source.exists():
        subprocess.run([sys.executable, corpus / "hydrate.py", corpus / "skeletons" / f"{name}.onnx", source], check=True, stdout=subprocess.DEVNULL)
    run = subprocess.run([smelt, "variants", source, "-o", scratch / f"{name}_{target}", "--target", target, "--samples", "2", "--json"], capture_output=True, text=True)
    report = json.loads(run.stdout)
    if report["error"] is not None:
        yield f"{name} {target}: {report['error']['message']}"
        return
    for entry in report["result"]:
        variant = f"{name} {target} {entry['variant']}"
        try:
            loads.check(entry["path"])
        except Exception as error:  # whatever Apple's reader raises is the finding
            yield f"{variant}: Apple's reader refuses it: {error}"
            continue
        passed = entry["passed"] or entry["variant"] == "int8"
        yield None if passed else f"{variant}: a gate failed: {entry['parity']['gates']}"


def main(smelt, corpus, oracle):
    sys.path.insert(0, oracle)
    import loads
    import milrun
    passed = failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for model, flags in MODELS:
            for target in ("ios16", "ios18"):
                for problem in check_model(smelt, pathlib.Path(corpus), milrun, loads, model, flags, target, pathlib.Path(scratch)):
                    passed, failed = passed + (problem is None), failed + (problem is not None)
                    if problem is not None:
                        print(problem, flush=True)
        for target in ("ios16", "ios18"):
            for problem in check_full_size(smelt, pathlib.Path(corpus), loads, "resnet50", target, pathlib.Path(scratch)):
                passed, failed = passed + (problem is None), failed + (problem is not None)
                if problem is not None:
                    print(problem, flush=True)
    print(f"oracles: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
