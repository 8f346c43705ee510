"""Keys of jobs: what determines a file; their digests, the seeds that follow, and where two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(key: Mapping[str, Any]) -> str:
    """Return a hash of a job's key (plain numbers and strings), 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def file_digest(path: str) -> str:
    """Return a hash of a file's content, 16 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def derived_seed(key: Mapping[str, Any]) -> int:
    """Return a seed of 63 bits for the generator of the job with this key."""
    return int(digest(key), 16) >> 1


def difference(found: Mapping[str, Any], must: Mapping[str, Any]) -> str:
    """Return the first entry of a key that another has not, as ``name = value, must be value``; "" if there is none.

    Args:
        found: What a file says: as in it, numbers and arrays of one number being the same.
        must: What is asked for; more may be found.
    """
    for name, value in must.items():
        if name not in found:
            return f"{name} is missing, must be {_shown(value)}"
        if not same(found[name], value):
            return f"{name} = {_shown(found[name])}, must be {_shown(value)}"
    return ""


def same(one: Any, other: Any) -> bool:
    """Return whether two entries are the same: a list is an array in a file, and a number where it has one entry."""
    return _listed(one) == _listed(other)


def _listed(value: Any) -> list[Any]:
    plain = value.tolist() if hasattr(value, "tolist") else value
    return list(plain) if isinstance(plain, list | tuple) else [plain]


def _shown(value: Any) -> str:
    text = ",".join(map(str, _listed(value)))
    return text if len(text) <= 60 else f"{text[:57]}..."
