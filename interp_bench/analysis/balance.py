"""Means over tasks where not every task was asked of every model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

Array = npt.NDArray[np.float64]


def indicators(names: Sequence[str]) -> Array:
    """Return ``[distinct, names]``: 1 where a name is the distinct one, these in sorted order."""
    distinct = sorted(set(names))
    return np.array([[float(name == other) for name in names] for other in distinct])


def over_tasks(models: Array, tasks: Array) -> Array:
    """Return ``[models, places]``: the weights by which places make the mean over tasks of each model.

    A place is taken as the sum of a task and a model (least squares). A model's mean is its own term plus
    the mean term of all tasks that hang together with it, so that no model is judged by its easy tasks
    alone; without gaps that is the mean of its places.

    Args:
        models: ``[models, places]``, 1 where the place is on the model.
        tasks: ``[tasks, places]``, 1 where the place is of the task.
    """
    joined = np.vstack([models, tasks])
    _, labels = connected_components(joined @ joined.T)
    together = (labels[: len(models), None] == labels[None, len(models) :]).astype(float)
    terms = np.hstack([np.eye(len(models)), together / together.sum(axis=1, keepdims=True)])
    return np.asarray(terms @ np.linalg.pinv(joined.T), dtype=np.float64)
