"""Normal inputs, labelled by a chosen power of their first component."""

from __future__ import annotations

from pydantic import Field

from msat.tasks.base import Task, TaskSettings, generators


class Settings(TaskSettings):
    """Labels are a power of the first component of the input."""

    n_train: int = Field(6, ge=1, description="Number of training samples P.")
    n_test: int = Field(5, ge=0, description="Number of test samples Q.")
    dimension: int = Field(4, ge=1, description="Input dimension D.")
    power: int = Field(1, ge=1, le=3, description="The power.")


def make(settings: Settings, seed: int) -> Task:
    """Return normal inputs with labels ``x_1^power``.

    Examples
    --------
    >>> import msat
    >>> msat.tasks.toy_task(n_train=3, power=3).n_train
    3
    """
    train_rng, test_rng = generators(seed, 2)
    x_train = train_rng.normal(size=(settings.n_train, settings.dimension))
    x_test = test_rng.normal(size=(settings.n_test, settings.dimension))
    y_train, y_test = x_train[:, 0] ** settings.power, x_test[:, 0] ** settings.power
    return Task(x_train, y_train, x_test, y_test, {"task": "toy_task", "seed": seed, **settings.model_dump()})
