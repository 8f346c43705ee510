"""A file that is not as msat wrote it is refused, whatever of it was changed; the layout of a file does not count."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import msat
from msat import checksums, store
from msat.errors import InputError
from msat.tasks.storage import load_task, read_made, save_task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def task():
    return msat.tasks.teacher_student(n_train=6, n_test=4, dimension=5, coefficients=[1.0, 0.5], seed=3)


@pytest.fixture(scope="module")
def results(task) -> dict[str, xr.Dataset]:
    """Of every kind: several layers have lists as attributes, sampled levels notes and a population."""
    network = msat.Network(width=30, activation="erf")
    return {
        "theory": msat.solve(task, network, chi=[1.0, 3.0], levels=["nngp", "tree_level"]),
        "deep": msat.solve(task, msat.Network(width=(5, 6)), levels=["nngp", "exact"], matrices=["exact"]),
        "langevin": msat.train(task, network, steps=256, chains=4),
    }


@pytest.fixture
def files(results, tmp_path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.nc" for name in results}
    for name, path in paths.items():
        store.save_dataset(path, results[name])
    return paths


def _kind(path: Path) -> str:
    return "langevin" if path.stem == "langevin" else "theory"


def test_what_is_written_is_what_is_read(results, files):
    for name, path in files.items():
        read = store.load_dataset(path, _kind(path))
        assert read.attrs["checksum"] == checksums.of_dataset(results[name]) == checksums.of_dataset(read)
        found = store.load_attributes(path, _kind(path), verified=True)
        assert found["checksum"] == read.attrs["checksum"]
        assert (found["n_train"], found["n_outputs"]) == (6, 1)
        if name == "theory":
            assert found["chi"].tolist() == [1.0, 3.0]
            assert found["levels"] == ["nngp", "tree_level"]


def test_the_layout_of_a_file_does_not_count(files, tmp_path):
    dataset = store.load_dataset(files["langevin"], "langevin")
    packed = {name: {"zlib": True, "shuffle": True} for name in dataset.data_vars if dataset[name].dtype.kind == "f"}
    turned = dataset[sorted(dataset.data_vars, reverse=True)]
    turned.to_netcdf(tmp_path / "other.nc", engine="h5netcdf", encoding=packed)
    assert (tmp_path / "other.nc").read_bytes() != files["langevin"].read_bytes()
    assert store.load_dataset(tmp_path / "other.nc", "langevin").identical(dataset)


def test_every_variable_and_attribute_counts(files):
    """One bit of a variable, and an attribute of the file: every sixth, one after the other."""
    for path in files.values():
        with h5py.File(path) as file:
            variables = [name for name, item in file.items() if _is_variable(item) and item.size]
            numbers = [name for name in variables if file[name].dtype.kind in "fi"]
            attributes = [name for name in file.attrs if name not in ("kind", "checksum", "_NCProperties")]
        assert len(numbers) > 20
        for name in [*numbers, *attributes][::6]:
            with h5py.File(path, "r+") as file:
                old = file[name][()] if name in numbers else file.attrs[name]
                if name in numbers:
                    values = file[name][()]
                    values.reshape(-1).view(np.uint8)[0] ^= 1
                    file[name][()] = values
                else:
                    file.attrs[name] = old + "x" if isinstance(old, str) else old + 1
            with pytest.raises(InputError, match="altered or damaged since msat wrote it"):
                store.load_attributes(path, _kind(path), verified=True)
            with h5py.File(path, "r+") as file:
                if name in numbers:
                    file[name][()] = old
                else:
                    file.attrs[name] = old
        store.load_attributes(path, _kind(path), verified=True)


def _is_variable(item) -> bool:
    return not item.attrs.get("NAME", b"").startswith(b"This is a netCDF dimension")


def test_a_result_of_before_checksums_is_named_as_such(results, tmp_path):
    results["theory"].to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"old.nc: has no checksum: made by an older version of msat"):
        store.load_dataset(tmp_path / "old.nc", "theory")


def test_flipped_labels_are_refused(task, results, files, tmp_path):
    """In the file by its checksum, and in memory, or written again, by the labels of the other result."""
    measured = results["langevin"]
    flipped = measured.assign(y_train=-measured["y_train"])
    with pytest.raises(InputError, match="differ in y_train, although both say data_digest"):
        msat.compare(results["theory"], flipped)
    raw = store.load_dataset(files["langevin"], "langevin")
    raw.assign(y_train=-raw["y_train"]).to_netcdf(tmp_path / "flipped.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"flipped.nc: altered or damaged"):
        store.load_dataset(tmp_path / "flipped.nc", "langevin")


def test_a_data_set_that_was_altered_is_refused(task, tmp_path):
    path = tmp_path / "data.npz"
    save_task(path, task, {"key": {"name": "teacher_student"}})
    assert read_made(path) == {"data_digest": task.digest(), "key": {"name": "teacher_student"}}
    with np.load(path) as file:
        held = dict(file)
    for name in ("x_train", "y_test", "provenance", "made"):
        changed = np.array(str(held[name]) + " ") if held[name].dtype.kind == "U" else -held[name]
        np.savez(path, **(held | {name: changed}))
        for read in (load_task, read_made):
            with pytest.raises(InputError, match=r"data.npz: altered or damaged"):
                read(path)
    np.savez(path, **{name: value for name, value in held.items() if name != "checksum"})
    with pytest.raises(InputError, match="has no checksum"):
        load_task(path)
    mine = {name: value for name, value in held.items() if name not in ("checksum", "made")}
    np.savez(path, **mine)  # the user's own, or of before there were checksums
    assert load_task(path).digest() == task.digest()
    with pytest.raises(InputError, match="has no checksum"):
        read_made(path)


def test_numbers_alike_are_told_apart():
    values = [
        *(1, 1.0, True, "1", b"1", None, [1], [], {}, {"1": 1}, [[1], 1], [1, [1]], 0.0, -0.0, "", "ab", ["a", "b"]),
        *(np.zeros(2), np.zeros(3), np.zeros((1, 2)), np.zeros(2, np.float32), np.zeros(2, int), np.array(["a", "b"])),
    ]
    assert len({checksums.checksum(value) for value in values}) == len(values)
    assert checksums.checksum({"a": 1, "b": 2}) == checksums.checksum({"b": 2, "a": 1})
    array = np.arange(6.0)
    assert checksums.checksum(array.astype(">f8")) == checksums.checksum(array)
    assert checksums.checksum(np.arange(12.0)[::2]) == checksums.checksum(2 * array)
