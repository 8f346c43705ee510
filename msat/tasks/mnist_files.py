"""The four files of MNIST: their names, their checksums, and how they are read."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msat.errors import InputError

# sha256 of the uncompressed bytes
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SIDE = 28  # pixels
FOLDER = "data/mnist"  # where they are unless another folder is named


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the verified contents of the four files in a folder, raw or .gz.

    Raises:
        InputError: If one is missing or is not the original.
    """
    return {name: _read(folder, name) for name in FILES}


def _read(folder: Path, name: str) -> bytes:
    for path in (folder / name, folder / f"{name}.gz"):
        try:
            return verified(name, path.read_bytes(), str(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    raise InputError(f"{folder}: {name} is missing (or {name}.gz)")


def verified(name: str, content: bytes, where: str) -> bytes:
    """Return MNIST's file of that name from its bytes, compressed if `where` they are from ends in .gz.

    Raises:
        InputError: If they are not the original; the message says where they are from.
    """
    if where.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise InputError(f"{where}: damaged (not a whole gzip file)") from None
    found = hashlib.sha256(content).hexdigest()
    if found != FILES[name]:
        differs = f"sha256 {found[:8]}... of {len(content)} bytes, must be {FILES[name][:8]}..."
        raise InputError(f"{where}: damaged or not MNIST ({differs})")
    return content


def read_images(content: bytes) -> NDArray[np.uint8]:
    """Return the images in a verified IDX file, (rows, 28, 28)."""
    return np.frombuffer(content, dtype=np.uint8, offset=16).reshape(-1, SIDE, SIDE)


def read_labels(content: bytes) -> NDArray[np.uint8]:
    """Return the digits in a verified IDX file, (rows,)."""
    return np.frombuffer(content, dtype=np.uint8, offset=8)
