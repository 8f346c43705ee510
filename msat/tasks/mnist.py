"""Digits of MNIST: two as a binary task, any number as a task of one output each (docs/theory.md, section 8)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator

from msat.errors import InputError
from msat.tasks.base import Task, TaskSettings, balanced_classes, balanced_labels, generators
from msat.tasks.mnist_files import FILES, FOLDER, SIDE, read_folder, read_images, read_labels
from msat.types import Array, Indices

Coding = Literal["plus_minus", "one_hot", "centred"]


class Settings(TaskSettings):
    """Digits of MNIST, centred and scaled; `msat mnist` gets the images."""

    fetched: ClassVar[bool] = True

    digits: list[Annotated[int, Field(ge=0, le=9)]] = Field(
        [0, 3],
        min_length=2,
        description="Different digits. Two without a coding are one output, y = -1 and y = +1; else each digit has an "
        "output, in this order.",
    )
    coding: Coding | None = Field(
        None,
        description="Labels of several outputs. plus_minus: +1 for the image's own digit, -1 for others. one_hot: 1 "
        "and 0. centred: one_hot less 1/m, m the number of digits. By default plus_minus of three digits or more.",
    )
    n_train: int = Field(
        80, ge=2, description="Number of training samples P, from the 60000 training images, as many of each digit."
    )
    n_test: int = Field(
        1000, ge=0, description="Number of test samples Q, from the 10000 test images, as many of each digit."
    )
    pool: int = Field(1, ge=1, description="Average pooling: pixels are means of pool x pool blocks; divides 28.")
    whiten: int | None = Field(
        None,
        ge=1,
        description="Number of principal components of the train split to whiten to, the new D; null for none.",
    )
    images: str | None = Field(
        None,
        exclude=True,
        description="Folder of MNIST's four files, raw or .gz, as `msat mnist` makes it; by default data/mnist, "
        "or mnist.folder of a config.",
    )

    @field_validator("digits")
    @classmethod
    def _different(cls, digits: list[int]) -> list[int]:
        twice = next((digit for place, digit in enumerate(digits) if digit in digits[:place]), None)
        if twice is not None:
            raise ValueError(f"digit {twice} is given twice: digits must differ")
        return digits

    @field_validator("pool")
    @classmethod
    def _divides(cls, pool: int) -> int:
        if SIDE % pool:
            raise ValueError(f"must divide {SIDE}")
        return pool

    @property
    def dimension(self) -> int:
        """Input dimension D."""
        return self.whiten or (SIDE // self.pool) ** 2

    @property
    def n_outputs(self) -> int:
        """Number of outputs m."""
        return 1 if len(self.digits) == 2 and self.coding is None else len(self.digits)

    def files(self) -> list[str]:
        """Return the paths of MNIST's four files."""
        return [f"{self.images or FOLDER}/{name}" for name in FILES]

    def located(self, folder: str) -> Self:
        """Return the settings with the folder of the files, unless they name one."""
        return self.model_copy(update={"images": self.images or folder})


def make(settings: Settings, seed: int) -> Task:
    """Return images of digits in equal numbers, with labels -1 and +1 of two, else (rows, m) in the coding asked for.

    Training samples are drawn without replacement from MNIST's 60000 training images, test samples from its
    10000 test images, so that the two cannot overlap. Pixels are averaged over blocks if asked; then the mean
    of each pixel over the train split is subtracted, and everything divided by one number such that the mean
    |x|^2 over the train split is D. With `whiten` x is instead the leading principal components of the train
    split, of unit variance there. Training data do not depend on n_test.

    Raises:
        InputError: If there are fewer images than asked for, or a file is missing or damaged.
    """
    images = settings.images or FOLDER
    try:
        files = read_folder(Path(images))
    except InputError as error:
        raise InputError(f"images: {error}; `msat mnist --out {images}` gets the files") from None
    train_rng, test_rng = generators(seed, 2)
    x_train, y_train, train_images = _draw("train", settings, files, train_rng)
    x_test, y_test, test_images = _draw("test", settings, files, test_rng)
    mean = x_train.mean(axis=0)
    x_train, x_test = x_train - mean, x_test - mean
    if settings.whiten is None:
        factor = _scale(x_train)
        x_train, x_test = factor * x_train, factor * x_test
    else:
        components = _components(x_train, settings.whiten)
        x_train, x_test = x_train @ components, x_test @ components
    chosen = {"train_images": train_images.tolist(), "test_images": test_images.tolist()}
    provenance = {"task": "mnist", "seed": seed, **settings.model_dump(exclude_none=True), **chosen}
    return Task(x_train, y_train, x_test, y_test, provenance)


def _draw(
    part: str, settings: Settings, files: dict[str, bytes], rng: np.random.Generator
) -> tuple[Array, Array, Indices]:
    """Return pooled images (rows, D), labels (rows,) or (rows, m), and the places of the images in their file."""
    rows: int = getattr(settings, f"n_{part}")
    kind, prefix = ("training", "train") if part == "train" else ("test", "t10k")
    if settings.n_outputs == 1:
        y: Array = balanced_labels(rows, -1.0, rng)
        classes = (y > 0).astype(np.int64)
    else:
        classes = balanced_classes(rows, len(settings.digits), rng)
        y = _coded(classes, len(settings.digits), settings.coding)
    of_digit = read_labels(files[f"{prefix}-labels-idx1-ubyte"])
    chosen = np.empty(rows, dtype=np.int64)
    for place, digit in enumerate(settings.digits):
        places = np.flatnonzero(of_digit == digit)
        wanted = int(np.sum(classes == place))
        if wanted > len(places):
            asked = f"n_{part} = {rows}: needs {wanted} {kind} images of digit {digit}"
            raise InputError(f"{asked}, MNIST has {len(places)}")
        chosen[classes == place] = rng.choice(places, wanted, replace=False)
    pixels = read_images(files[f"{prefix}-images-idx3-ubyte"])[chosen].astype(np.float64) / 255
    blocks = SIDE // settings.pool
    x = pixels.reshape(rows, blocks, settings.pool, blocks, settings.pool).mean(axis=(2, 4))
    return x.reshape(rows, blocks**2), y, chosen


def _coded(classes: Indices, count: int, coding: Coding | None) -> Array:
    """Return the labels (rows, count) of classes."""
    one_hot = np.eye(count)[classes]
    return {"one_hot": one_hot, "centred": one_hot - 1 / count}.get(coding or "", 2 * one_hot - 1)


def _scale(x: Array) -> float:
    """Return the number that makes the mean of ``|x|^2`` the dimension D."""
    size = float(np.mean(np.sum(x**2, axis=1)))
    if size == 0:
        raise InputError("the training inputs are all the same: they cannot be scaled")
    return math.sqrt(x.shape[1] / size)


def _components(x: Array, count: int) -> Array:
    """Return the projection of centred inputs on their leading principal components, each of variance 1.

    A component's sign is such that its entry of largest size is positive.
    """
    _, singular, axes = np.linalg.svd(x, full_matrices=False)
    rank = int(np.sum(singular > singular[0] * max(x.shape) * np.finfo(np.float64).eps))
    if count > rank:
        raise InputError(
            f"whiten = {count}: the {len(x)} centred training inputs have {rank} components; must be at most {rank}"
        )
    axes, singular = axes[:count], singular[:count]
    largest = np.argmax(np.abs(axes), axis=1)
    axes = axes * np.sign(axes[np.arange(count), largest])[:, None]
    return np.asarray(axes.T / singular * math.sqrt(len(x)))
