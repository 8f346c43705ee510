import numpy as np
import pytest
import xarray as xr

import msat
from msat import store
from msat.errors import InputError
from msat.tasks.storage import load_task, save_task


def test_task_round_trip(tmp_path, small_task):
    save_task(tmp_path / "data.npz", small_task)
    again = load_task(tmp_path / "data.npz")
    assert again.digest() == small_task.digest()
    task = msat.tasks.ising(n_train=4, n_test=2, dimension=3, seed=5)
    save_task(tmp_path / "ising.npz", task)
    assert load_task(tmp_path / "ising.npz").provenance == task.provenance


def test_the_same_task_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_task(tmp_path / f"{name}.npz", msat.tasks.ising(n_train=4, n_test=2, dimension=3, seed=5))
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_dataset_round_trip(tmp_path, small_task, small_network):
    dataset = msat.solve(small_task, small_network, chi=[1.0, 7.0])
    store.save_dataset(tmp_path / "theory.nc", dataset)
    again = store.load_dataset(tmp_path / "theory.nc", "theory")
    xr.testing.assert_identical(again.drop_attrs(), dataset.drop_attrs())
    assert again.attrs["g_w"] == small_network.g_w


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write():
        with store.atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_without_write_permission(tmp_path, monkeypatch):
    """Tests may run as root, whom permissions do not stop: the refusal of the system is simulated."""

    def refuse(self, exist_ok=True):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(InputError, match="cannot be written \\(Permission denied\\)"):
        store.check_writable(tmp_path / "out.nc")


@pytest.mark.slow
def test_damaged_files_are_refused_in_one_line(tmp_path, small_task, small_network):
    """Random damage to a data set and a result: either it reads, or it is refused as unreadable or unsound."""
    save_task(tmp_path / "good.npz", small_task)
    store.save_dataset(tmp_path / "good.nc", msat.solve(small_task, small_network))
    rng = np.random.default_rng(0)
    for name, load in (("npz", load_task), ("nc", lambda path: store.load_dataset(path, "theory"))):
        good = (tmp_path / f"good.{name}").read_bytes()
        refused = 0
        for _ in range(60):
            damaged = bytearray(good)
            for position in rng.integers(len(good), size=8):
                damaged[position] = rng.integers(256)
            path = tmp_path / f"damaged.{name}"
            path.write_bytes(bytes(damaged))
            try:
                load(path)
            except InputError as error:
                refused += "\n" not in str(error)
        assert refused > 5
