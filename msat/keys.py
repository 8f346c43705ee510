"""Digests of jobs and files, and the seeds that follow from them."""

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
