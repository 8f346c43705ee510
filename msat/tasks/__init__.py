"""Data sets: one function a task, each returning a `msat.tasks.base.Task`."""

from msat.tasks.base import Task
from msat.tasks.ising import ising
from msat.tasks.mnist import mnist
from msat.tasks.table import table
from msat.tasks.teacher_student import teacher_student

__all__ = ["Task", "ising", "mnist", "table", "teacher_student"]
