"""The packages that the tests wrote, against Apple's open reader and an independent executor.

usage: check_kept.py FOLDER ORACLE

FOLDER is what SMELT_KEEP_PACKAGES named when the tests ran. Each package (equal ones once) must load in Apple's reader. Where the
inputs and outputs of a run stand beside it, the executor must give the same outputs from the same inputs. Prints a line for each
difference, then "N passed, N failed".
"""
import hashlib
import pathlib
import sys

import numpy as np

TOLERANCE = {np.dtype(np.float32): 1e-4, np.dtype(np.float16): 2e-3}  # times max(1, value); other dtypes must be equal


def digest(package):
    sha256 = hashlib.sha256()
    for file in sorted(package.rglob("*")):
        if file.is_file():
            sha256.update(f"{file.relative_to(package)}\0{file.stat().st_size}\0".encode())
            sha256.update(file.read_bytes())
    return sha256.hexdigest()


def differences(milrun, package):
    results = milrun.run(str(package), dict(np.load(package.with_suffix(".inputs.npz"))))
    with np.load(package.with_suffix(".outputs.npz")) as ours:
        for name in ours.files:
            expected, actual = ours[name], results[name].reshape(ours[name].shape)
            rounding = TOLERANCE.get(expected.dtype, 0)
            with np.errstate(invalid="ignore"):
                is_near = np.isclose(actual.astype(np.float64), expected.astype(np.float64), rtol=rounding, atol=rounding, equal_nan=True)
            if not is_near.all():
                k = int(np.flatnonzero(~is_near.ravel())[0])
                yield f"output {name}[{k}] is {actual.ravel()[k]}, read back {expected.ravel()[k]}"


def check(loads, milrun, package):
    try:
        loads.check(str(package))
        if package.with_suffix(".inputs.npz").exists():
            yield from differences(milrun, package)
    except Exception as error:  # whatever the reader and the executor raise is the finding
        yield f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def main(folder, oracle):
    sys.path.insert(0, oracle)
    import loads
    import milrun
    seen, executed, passed, failed = set(), 0, 0, 0
    for package in sorted(pathlib.Path(folder).glob("*.mlpackage")):
        key = digest(package)
        if key in seen:
            continue
        seen.add(key)
        problems = list(check(loads, milrun, package))
        executed += package.with_suffix(".inputs.npz").exists()
        passed, failed = passed + (not problems), failed + bool(problems)
        for problem in problems:
            print(f"{package.stem}: {problem}", flush=True)
    print(f"packages of the tests: {passed} passed, {failed} failed; {executed} of them executed")
    return 1 if failed or not passed or not executed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
