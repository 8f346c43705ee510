"""The locks and pyproject.toml must agree, and pin all that is installed; refresh them with ``make lock``."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK, CUDA = (ROOT / name for name in ("requirements.lock", "requirements-cuda.lock"))
# Requires-Dist of torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl, which the CPU build does not have
OF_TORCH_WITH_CUDA = (
    "cuda-toolkit==13.0.3",
    "cuda-bindings<14,>=13.0.3",
    "nvidia-cudnn-cu13==9.20.0.48",
    "nvidia-cusparselt-cu13==0.8.1",
    "nvidia-nccl-cu13==2.29.7",
    "nvidia-nvshmem-cu13==3.4.5",
    "triton==3.7.1",
)
# extras that it asks cuda-toolkit for, by the packages that these are
OF_TOOLKIT = (
    "cublas",
    "cuda-cupti",
    "cuda-nvrtc",
    "cuda-runtime",
    "cufft",
    "cufile",
    "curand",
    "cusolver",
    "cusparse",
    "nvjitlink",
    "nvtx",
)


def _pins(*paths):
    lines = [line for path in paths for line in path.read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)) for pin in pins}


def _check(requirement, pins):
    pin = pins[canonicalize_name(requirement.name)]
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version), f"{requirement} against {pin}"


def _wanted():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [Requirement(text) for text in (*project["dependencies"], *extras["workflow"], *extras["dev"])]


def test_lock_satisfies_every_requirement():
    for requirement in _wanted():
        _check(requirement, _pins(LOCK))


def test_what_packages_need_is_pinned_too():
    """Of everything that is wanted, and of what that needs, by the metadata of what is installed here."""
    pins, todo, seen = _pins(LOCK, CUDA), _wanted(), set()
    while todo:
        requirement = todo.pop()
        _check(requirement, pins)
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            needs = map(Requirement, metadata.requires(name) or ())
            todo += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    assert len(seen) > 80


def test_what_torch_needs_with_cuda_is_pinned():
    pins = _pins(CUDA)
    for text in OF_TORCH_WITH_CUDA:
        _check(Requirement(text), pins)
    assert {f"nvidia-{name}" for name in OF_TOOLKIT} <= set(pins)
    assert not set(pins) & set(_pins(LOCK))


def test_torch_is_pinned_without_a_build():
    """A build tag such as +cpu would bind the lock to one kind of machine."""
    assert str(_pins(LOCK)["torch"]) == "==2.13.0"
    for path in (LOCK, CUDA):
        assert not re.search(r"sha256|--hash|://|/", path.read_text())
