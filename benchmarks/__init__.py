"""Measurements of msat, alone and beside its peers: ``make bench``, or ``python -m benchmarks``.

Never part of the test run but for a quick pass. Everything runs on one thread unless a row says otherwise: the bounds
below must be set before NumPy, torch or XLA are loaded.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
