"""Exploration by enumeration and at 50 digits: the coin of epsilon-greedy, the entropy objective, the square roots of noise."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from properties._oracles import Exact, oracle
from properties._oracles.aggregates import _fraction, _mp, _rows, _stacked

_DIGITS = mpmath.MPContext()
_DIGITS.dps = 50


def _maximisers(row: list[float]) -> list[int]:
    top = max(row)
    return [a for a, q in enumerate(row) if q == top]


def _explored(row: list[float], epsilon: Fraction, over: str) -> list[Fraction]:
    """Draw the greedy action among the maximisers, then with probability epsilon another: evenly of all, or of all but that."""
    best, chance = _maximisers(row), [Fraction(0)] * len(row)
    for greedy in best:
        others = [a for a in range(len(row)) if over == "all" or a != greedy] or [greedy]
        chance[greedy] += (1 - epsilon) / len(best)
        for action in others:
            chance[action] += epsilon / len(others) / len(best)
    return chance


@oracle(
    method="enumeration in fractions.Fraction",
    derivation="Sutton & Barto 2018, §2.2: a maximiser, each as likely as the others; ±inf compare as they do",
    identities="one action has all mass; equal values give 1/A; +inf against numbers has all mass",
)
def greedy_by_enumeration(q: Any) -> Exact:
    """The chance of each action when one of the row's maximisers is drawn evenly."""
    return _stacked([_explored(row, Fraction(0), "all") for row in _rows(q)], np.shape(q))


@oracle(
    method="enumeration in fractions.Fraction",
    derivation="Sutton & Barto 2018, §2.2 (all); Agrawal 2021, lecture 4 (others): the two-stage experiment, outcome by outcome",
    identities="rows sum to 1; epsilon = 0 is greedy; epsilon = 1 over all is 1/A; over the others of one action is 1",
)
def epsilon_greedy_by_enumeration(q: Any, *, epsilon: float, over: str) -> Exact:
    """The chance of each action of every row when exploring with probability epsilon, over all actions or over the others."""
    return _stacked([_explored(row, Fraction(epsilon), over) for row in _rows(q)], np.shape(q))


@oracle(
    method="mpmath at 50 digits",
    derivation="Ziebart et al. 2008 (maximum entropy): pi.q + t H(pi), H = - sum of pi log pi",
    identities="a point mass gives its q; uniform over n gives the mean plus t log n",
    shares_code_with="_oracles/aggregates.py: conversions to and from 50 digits",
)
def entropy_objective_by_digits(policy: Any, q: Any, *, temperature: float) -> Exact:
    """pi.q + t H(pi) of every row; pi need not sum to exactly 1."""

    def one(pi: list[float], row: list[float]) -> Fraction:
        held = [(_mp(p), _mp(x)) for p, x in zip(pi, row, strict=True) if p > 0]
        return _fraction(_DIGITS.fsum(p * (x - _mp(temperature) * _DIGITS.log(p)) for p, x in held))

    rows = zip(_rows(policy), _rows(q), strict=True)
    return _stacked([one(*row) for row in rows], np.shape(q)[:-1])


@oracle(
    method="mpmath at 50 digits",
    derivation="the maximum over policies of pi.q + t H(pi): t log sum of exp(q/t)",
    identities="one action gives its q; n equal values give that value plus t log n",
    shares_code_with="_oracles/aggregates.py: conversions to and from 50 digits",
)
def soft_maximum_by_digits(q: Any, *, temperature: float) -> Exact:
    """t log sum exp(q/t) of every row, around its maximum."""

    def one(row: list[float]) -> Fraction:
        peak, t = max(row), _mp(temperature)
        total = _DIGITS.fsum(_DIGITS.exp(_mp(Fraction(x) - Fraction(peak)) / t) for x in row)
        return Fraction(peak) + _fraction(t * _DIGITS.log(total))

    return _stacked([one(row) for row in _rows(q)], np.shape(q)[:-1])


def _root(x: float) -> Any:
    """sign(x) sqrt|x|."""
    return _DIGITS.sign(x) * _DIGITS.sqrt(abs(_mp(x)))


@oracle(
    method="mpmath at 50 digits",
    derivation="Fortunato et al. 2018, eq. 10-11: eps_ij = f(eps_i) f(eps_j), f(x) = sign(x) sqrt|x|",
    identities="perfect squares give products of whole numbers; each square is |in out|; changing one sign changes all of its line",
    shares_code_with="_oracles/aggregates.py: conversions to and from 50 digits",
)
def factorised_noise_by_digits(noise_in: Any, noise_out: Any) -> Exact:
    """f(out)_o f(in)_i for every pair of rows [I] and [O], as [O, I]."""
    pairs = zip(_rows(noise_in), _rows(noise_out), strict=True)
    found = [[_fraction(_root(o) * _root(i)) for o in out for i in inside] for inside, out in pairs]
    return _stacked(found, (*np.shape(noise_out), np.shape(noise_in)[-1]))
