"""All figures of an experiment in one process, which draws those that are not there as they would be drawn now.

Each file holds, as a keyword in its metadata, a digest of the code that drew it and one of all that it was drawn from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from msat import figures, keys
from msat.settings import check_known
from msat.stages import code
from msat.store import check_writable


def run(
    names: Sequence[str],
    folder: Path,
    formats: Sequence[str],
    title: str = "",
    n_train: int | None = None,
    **sources: Any,
) -> tuple[list[str], list[str]]:
    """Draw the figures ``folder/NAME.FORMAT`` that are missing or would now be others; leave the rest untouched.

    Args:
        n_train: Of several numbers of training samples the one that figures show which do not show all; it is named in
            their titles.
        sources: What `msat.figures.read` takes, for all figures: each reads its own.

    Returns:
        The names of the figures drawn, and of those left.

    Raises:
        InputError: If a figure, a format, a file or a level that a figure needs does not exist.
    """
    for suffix in formats:
        check_known("format", suffix, figures.FORMATS)
    for name in names:
        figures.declaration(name)
    wanted = {name: _files(folder, name, formats) for name in dict.fromkeys(names)}
    for path in (path for files in wanted.values() for path in files):
        check_writable(path)
    drawn = []
    for name, files in wanted.items():
        kinds = ("theory", "langevin") if figures.declaration(name).kind == "runs" else ("tables", "experiment")
        data = figures.read(name, n_train=n_train, **{kind: sources[kind] for kind in kinds if kind in sources})
        here = figures.titled(name, title, n_train)
        keyword = f"{_code_keyword(name)} {_data_digest(data, here)}"
        if not all(_holds(path, keyword) for path in files):
            figures.write(name, data, files, here, keyword)
            drawn.append(name)
    return drawn, [name for name in wanted if name not in drawn]


def outdated(names: Iterable[str], folder: Path, formats: Sequence[str]) -> list[str]:
    """Return the figures whose files are missing or drawn by other code, whatever they are drawn from."""
    return [
        name for name in names if not all(_holds(path, _code_keyword(name)) for path in _files(folder, name, formats))
    ]


def _files(folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    return [folder / f"{name}.{suffix}" for suffix in formats]


def _holds(path: Path, keyword: str) -> bool:
    """Return whether a figure is there and has the keyword, which metadata of all formats hold as plain text."""
    return path.is_file() and keyword.encode() in path.read_bytes()


def _code_keyword(name: str) -> str:
    return f"msat-figure {code.figure(name)}"


def _data_digest(data: Mapping[str, Any], title: str) -> str:
    """Return a hash of all but msat's code that makes a figure what it is."""
    key: dict[str, Any] = {"title": title, "matplotlib": version("matplotlib")}
    for name, item in data.items():
        key[name] = [_content(each) for each in item] if isinstance(item, list) else _content(item)
    return keys.digest(key)


def _content(item: Any) -> str:
    """Return a hash of the rows of a table, or of a result's arrays: no figure shows when and where they were made."""
    import pandas as pd

    sha = hashlib.sha256()
    if isinstance(item, pd.DataFrame):
        sha.update(repr(list(item)).encode())
        sha.update(pd.util.hash_pandas_object(item, index=False).to_numpy().tobytes())
    else:
        for name in sorted(map(str, item.variables)):
            values = item[name].to_numpy()
            plain = values.tobytes() if values.dtype.kind != "O" else repr(values.tolist()).encode()
            sha.update(f"{name} {item[name].dims} {values.shape} {values.dtype}\n".encode() + plain)
    return sha.hexdigest()
