"""Categorical distributions of the return: projections in fractions, cross-entropies at 50 digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._exact import Exact, exact_value, fractions
from properties._exact.precision import settled
from properties._oracles import aggregates, categorical

LOGARITHMS = (categorical._DIGITS, aggregates._DIGITS)


@exact_value("categorical_projection")
def categorical_projection(atoms: Any, probability: Any, reward: Any, terminated: Any, *, discount: Any) -> Exact:
    """Each p_j at clip(r + g (1 - terminated) z_j), shared linearly between the atoms beside it."""
    return np.asarray(categorical.projection_by_fractions(atoms, probability, reward, terminated, discount))


@exact_value("categorical_loss")
def categorical_loss(logits: Any, target: Any) -> Exact:
    """- sum of target log softmax(logits), of every row."""
    return np.asarray(settled(lambda: categorical.cross_entropy_by_digits(logits, target), *LOGARITHMS))


@exact_value("categorical_loss_gradient")
def categorical_loss_gradient(logits: Any, target: Any) -> Exact:
    """softmax(logits) - target, of every row."""
    due = fractions(target)
    return np.asarray(settled(lambda: aggregates.softmax_by_digits(logits, temperature=1.0) - due, *LOGARITHMS))
