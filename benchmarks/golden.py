"""Golden numbers of the refactoring: one fixed set of commands, and the comparison of two sets of their files.

``python benchmarks/golden.py run FOLDER`` runs the commands with the msat on the path; ``python benchmarks/golden.py
compare BEFORE AFTER`` prints, for each file, how many variables are the same bits and the largest relative difference.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

TOLERANCE = 1e-12
ISING = "--width 20 --activation {} --g-w 0.5 --g-v 0.5 --kappa-0 1"
CUBIC = "--width 20 --activation relu --g-w 0.5 --g-v 1 --kappa-0 0.2"
CASES = {
    # name: task, network, scales
    "ising_linear": ("ising --n-train 20 --n-test 100 --dimension 40", ISING.format("linear"), "1,20"),
    "ising_wide": (
        "ising --n-train 80 --n-test 200 --dimension 200",
        ISING.format("linear").replace("20", "100"),
        "1,10,100",
    ),
    "low_rank": (
        "teacher_student --teacher linear --n-train 30 --n-test 50 --dimension 12 --noise 0.1",
        "--width 40 --activation linear --g-w 0.5 --g-v 1 --kappa-0 0.2",
        "1,40",
    ),
    "ising_erf": ("ising --n-train 20 --n-test 100 --dimension 40", ISING.format("erf"), "1,20"),
    "cubic_relu": (
        "teacher_student --n-train 20 --n-test 100 --dimension 12 --coefficients 1,0,0.3 --unit-variance",
        CUBIC,
        "1,20",
    ),
    "cubic_tanh": (
        "teacher_student --n-train 16 --n-test 20 --dimension 8 --coefficients 1,0,0.3 --unit-variance",
        "--width 200 --activation tanh --g-w 0.5 --g-v 1 --kappa-0 0.2",
        "1,20",
    ),
}
TRAINED = ("ising_linear", "low_rank", "ising_erf", "cubic_relu")


def run(folder: Path) -> None:
    """Run every command, with its files in a folder."""
    from msat.cli import main

    folder.mkdir(parents=True, exist_ok=True)

    def msat(command: str) -> None:
        started = time.perf_counter()
        code = main(command.split())
        print(f"{time.perf_counter() - started:6.1f} s  exit {code}  msat {command}", flush=True)

    for name, (task, network, scales) in CASES.items():
        data, theory = folder / f"{name}.npz", folder / f"{name}-theory.nc"
        msat(f"task {task} --seed 0 --out {data}")
        msat(f"solve --data {data} {network} --chi {scales} --seed 0 --label {name} --out {theory}")
        if name in TRAINED:
            for chi in scales.split(","):
                out = folder / f"{name}-chi{chi}-langevin.nc"
                msat(
                    f"train --data {data} {network} --chi {chi} --chains 6 --steps 4000 --max-burn-in 4000 "
                    f"--device cpu --seed 0 --label {name} --out {out}"
                )
    theories = " ".join(f"--theory {folder}/{name}-theory.nc" for name in TRAINED)
    runs = " ".join(f"--langevin {path}" for path in sorted(folder.glob("*-langevin.nc")))
    (folder / "tables").mkdir(exist_ok=True)
    msat(f"collect {theories} {runs} --out {folder}/tables")
    msat(f"check {folder}/tables/checks.parquet --out {folder}/checks.txt")
    grid = "--g-w 0.5 --g-v 0.5 --kappa-0 1"
    msat(f"loop-map --widths 10,14,20,28,40,57,80 --n-train 20,40,80 --gamma 0,0.5,1 {grid} --out {folder}/tables")
    msat(f"finite-width --widths 10,20,40,80 --n-train 10 --seeds 2,3 {grid} --out {folder}/tables")


def difference(before: np.ndarray, after: np.ndarray) -> float:
    """Return the largest difference relative to the largest entry; infinite where shapes or NaNs differ."""
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        return np.inf
    if before.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(before.astype(str), after.astype(str)) else np.inf
    if np.array_equal(before, after, equal_nan=True):
        return 0.0
    before, after = before.astype(float), after.astype(float)
    known = np.isfinite(before)
    if not np.array_equal(known, np.isfinite(after)):
        return np.inf
    size = np.abs(before[known]).max(initial=0.0)
    return float(np.abs(before[known] - after[known]).max() / (size or 1.0))


def report(name: str, pairs: dict[str, float], added: int) -> int:
    """Print one file's line, and a line for each variable beyond the tolerance; return their number."""
    same = sum(value == 0 for value in pairs.values())
    beyond = {key: value for key, value in pairs.items() if not value <= TOLERANCE}
    within = [value for value in pairs.values() if value <= TOLERANCE]
    print(
        f"{name}: {len(pairs)} variables, {same} bit for bit, largest difference within tolerance "
        f"{max(within, default=0):.1e}, beyond {len(beyond)}, new {added}"
    )
    for key, value in beyond.items():
        print(f"    {key}: {value:.1e}")
    return len(beyond)


def compare(before: Path, after: Path, exact: bool = False) -> int:
    """Compare all files of two folders; return the number of variables beyond the tolerance."""
    beyond = 0
    for path in sorted(before.rglob("*")):
        other = after / path.relative_to(before)
        if path.suffix not in (".nc", ".parquet", ".npz"):
            continue
        if not other.exists():
            print(f"{path.relative_to(before)}: missing")
            beyond += 1
            continue
        if path.suffix == ".parquet":
            old, new = pd.read_parquet(path), pd.read_parquet(other)
            values = {c: (old[c].to_numpy(), new[c].to_numpy() if c in new else np.empty(0)) for c in old}
            added = len(set(new) - set(old))
        elif path.suffix == ".npz":
            old, new = np.load(path), np.load(other)
            values, added = {c: (old[c], new[c]) for c in old.files}, 0
        else:
            old, new = (xr.load_dataset(p, engine="h5netcdf") for p in (path, other))
            added = len(set(new.variables) - set(old.variables))
            values = {}
            for c in old.variables:
                found = new[c] if c in new.variables else None
                if found is not None and set(found.dims) == set(old[c].dims):
                    found = found.transpose(*old[c].dims)
                values[c] = (old[c].to_numpy(), np.empty(0) if found is None else found.to_numpy())
        skipped = {"wall_time_s"}
        pairs = {c: difference(*value) for c, value in values.items() if c not in skipped}
        if exact:
            print("   ", {c: v for c, v in pairs.items() if v})
        beyond += report(str(path.relative_to(before)), pairs, added)
    print(f"{beyond} variables beyond {TOLERANCE:g}")
    return beyond


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(Path(sys.argv[2]))
    else:
        sys.exit(bool(compare(Path(sys.argv[2]), Path(sys.argv[3]), "--exact" in sys.argv)))
