"""P = 2000 with every level at seven scales, within 1 GB, some matrices written to a file."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import msat
from msat.tasks.storage import load_task, save_task


@pytest.mark.slow
def test_two_thousand_samples_fit_into_a_gigabyte(tmp_path):
    data, out = tmp_path / "data.npz", tmp_path / "theory.nc"
    save_task(data, msat.tasks.ising(n_train=2000, n_test=1000, dimension=3000, seed=0))
    assert load_task(data).n_train == 2000
    # its own high-water mark: what the parent's rusage says of a child includes the parent, from which it began
    status = "print(open('/proc/self/status').read())"
    solve = f"import sys, msat.cli as m; code = m.main(sys.argv[1:]); {status}; sys.exit(code)"
    command = [sys.executable, "-c", solve, "solve", "--data", data, "--width", "200", "--out", out]
    options = ["--chi", "1,2.42,5.85,14.1,34.2,82.7,200", "--matrices", "exact,laplace,1,200"]
    done = subprocess.run([*command, *options], check=True, env=os.environ, capture_output=True, text=True)
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1])
    assert peak * 1024 < 1e9
    with xr.open_dataset(out) as theory:
        assert np.all(theory["converged"].sel(level=["nngp", "rescaling", "tree_level", "laplace", "exact"]) == 1)
        exact = theory["mean_train"].sel(level="exact", chi=200).to_numpy()
        laplace = theory["mean_train"].sel(level="laplace", chi=200).to_numpy()
        assert theory["hidden_kernel"].sizes == {"matrix_level": 2, "matrix_chi": 2, "train": 2000, "train_": 2000}
    out.unlink()  # 0.3 GB
    # N = 200 is a tenth of P: laplace is still within one per cent of the exact outputs
    assert np.linalg.norm(laplace - exact) < 0.01 * np.linalg.norm(exact)
