"""What a port may do otherwise without being wrong, as long as it says so in CONVENTIONS: {"<key>": "<value>"}.

A declared convention changes what the port is asked (calls on which conventions differ are declined), what its answers mean, what
they are compared with, or which claims are tried; nothing else. An undeclared one is recognised, and named as what it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import reference
from properties._bounds import ELEMENTARY, Floats, gamma
from properties._claim import Call

Operation = Callable[..., Any]


class OtherConvention(NotImplementedError):
    """A call on which the port's declared convention differs: it is not asked."""


@dataclass(frozen=True)
class Convention:
    """One way of doing what others do otherwise.

    declines   whether a call is one on which conventions differ, so that this port is not asked it.
    contract   the contract's answer, from the port's.
    variants   the operators as this convention has them: what an undeclared one is recognised by.
    bounds     where the port is compared with its variant in place of the reference: the derived bound on its error.
    excuses    claims about what this convention does otherwise; they are absent.
    slopes     operators of which only the derivative is concerned.
    """

    key: str
    value: str
    story: str
    operators: tuple[str, ...]
    declines: Callable[[str, Call], bool] = lambda operator, call: False
    contract: Callable[[Any], Any] = lambda answer: answer
    variants: Mapping[str, Operation] = field(default_factory=dict)
    bounds: Mapping[str, Operation] = field(default_factory=dict)
    excuses: tuple[str, ...] = ()
    slopes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """As it is declared."""
        return f'CONVENTIONS = {{"{self.key}": "{self.value}"}}'

    def applied(self, operator: str, function: Operation, *, derivative: bool = False) -> Operation:
        """The port's operator, or its derivative, as the contract sees it."""
        if operator in self.slopes and not derivative:
            return function

        def asked(*arguments: Any, **keywords: Any) -> Any:
            if self._declines(operator, Call(arguments, keywords)):
                raise OtherConvention(f"declared {self.key}: {self.value}")
            return self.contract(function(*arguments, **keywords))

        return asked

    def _declines(self, operator: str, call: Call) -> bool:
        """Bad input is for the port to refuse."""
        try:
            return self.declines(operator, call)
        except (TypeError, ValueError, IndexError):
            return False


def declared(conventions: Mapping[str, str]) -> tuple[Convention, ...]:
    """The conventions of these names; ValueError for one that is not known."""
    for key, value in conventions.items():
        known = {each.value for each in CONVENTIONS if each.key == key} | ({"unchecked"} if key == "bad_input" else set())
        if value not in known:
            rule = f"{key!r} must be one of {sorted(known)}" if known else f"must be some of {sorted({c.key for c in CONVENTIONS})}"
            raise ValueError(f"CONVENTIONS: {rule}; got {key!r}: {value!r}")
    return tuple(each for each in CONVENTIONS if conventions.get(each.key) == each.value)


# -------------------------------------------------------------------------------------------- only one choice of a keyword
def _only(key: str, keyword: str, value: str, story: str, *operators: str) -> Convention:
    """The port makes this choice whatever the keyword says."""

    def declines(operator: str, call: Call) -> bool:
        default = inspect.signature(getattr(reference, operator)).parameters[keyword].default
        given = call.keywords.get(keyword, default)
        return not (isinstance(given, str) and given == value)

    def variant(operator: str) -> Operation:
        return lambda *arguments, **keywords: getattr(reference, operator)(*arguments, **keywords | {keyword: value})

    return Convention(key, value, story, operators, declines, variants={name: variant(name) for name in operators})


def _normalizer(value: str) -> Convention:
    story = {"batch": "the batch's largest", "memory": "the largest of the whole memory"}[value]
    return _only("importance_normalizer", "normalizer", value, f"importance weights are divided by {story}", "importance_weights")


# ------------------------------------------------------------------------------------------------- ties, infinities, scale
def _ties(operator: str, call: Call) -> bool:
    """Several values of a row are its largest, or the values of a pair are equal; when all is explored that is no matter."""
    if operator.startswith("soft_policy_loss"):
        return bool(np.any(np.equal(call.arguments[0], call.arguments[1])))
    q = np.asarray(call.arguments[0])
    tied = np.any((q == q.max(axis=-1, keepdims=True)).sum(axis=-1) > 1)
    return bool(tied) and not (call.keywords.get("epsilon") == 1.0 and call.keywords.get("over", "all") == "all")


def _first_greedy(q: Any) -> Floats:
    return np.asarray(np.eye(reference.greedy(q).shape[-1])[np.argmax(q, axis=-1)])


def _first_epsilon_greedy(q: Any, *, epsilon: float, over: str = "all") -> Floats:
    """Of the reference, on values of which only the first largest is large."""
    return np.asarray(reference.epsilon_greedy(_first_greedy(q), epsilon=epsilon, over=over))


def _first_sampled(q: Any, *, epsilon: float, over: str = "all", generator: np.random.Generator) -> Any:
    return reference.sample_epsilon_greedy(_first_greedy(q), epsilon=epsilon, over=over, generator=generator)


def _first_slopes(q1: Any, q2: Any, log_prob: Any, **knobs: Any) -> Any:
    """The first of two equal critics' values has all of the slope."""
    entropy = reference.soft_policy_loss_gradient(q1, q2, log_prob, **knobs)[2]
    lower = np.less_equal(q1, q2)
    return -1.0 * lower, -1.0 * ~lower, entropy


def _undefined(operator: str, call: Call) -> bool:
    """An infinite number among the arguments, or a temperature of 0."""
    return call.keywords.get("temperature") == 0 or is_infinite(call)


def is_infinite(call: Call) -> bool:
    """Whether a number among the arguments is not finite."""
    values = [*call.arguments, *call.keywords.values()]
    numbers = [np.asarray(v) for v in values if isinstance(v, (float, np.ndarray)) and np.asarray(v).dtype.kind == "f"]
    return not all(np.isfinite(each).all() for each in numbers)


def _halved(operator: str) -> Operation:
    return lambda *arguments, **keywords: 0.5 * getattr(reference, operator)(*arguments, **keywords)


def _doubled(answer: Any) -> Any:
    """Exact."""
    return tuple(2 * part for part in answer) if isinstance(answer, tuple) else 2 * answer


# ------------------------------------------------------------------------------------------------ the temperature's loss
def _linear_loss(log_prob: Any, *, log_coefficient: float, target_entropy: float) -> Floats:
    return np.asarray(log_coefficient * _linear_slope(log_prob, log_coefficient=log_coefficient, target_entropy=target_entropy))


def _linear_slope(log_prob: Any, *, log_coefficient: float, target_entropy: float) -> Floats:
    """The contract's at alpha = 1, but for the rounding of log alpha = 0."""
    reference.temperature_loss(log_prob, log_coefficient=log_coefficient, target_entropy=target_entropy)
    return np.asarray(reference.temperature_loss(log_prob, log_coefficient=0.0, target_entropy=target_entropy))


def _linear_loss_bound(unit: float, log_prob: Floats, *, log_coefficient: float, target_entropy: float) -> Floats:
    """A sum and a product; of those that take exp's derivative, ELEMENTARY more."""
    return np.asarray(gamma(ELEMENTARY + 3, unit) * abs(log_coefficient) * (np.abs(log_prob) + abs(target_entropy)))


def _linear_slope_bound(unit: float, log_prob: Floats, *, log_coefficient: float, target_entropy: float) -> Floats:
    """A sum."""
    return np.asarray(gamma(2, unit) * (np.abs(log_prob) + abs(target_entropy)))


DETACHED = "the caller detaches what is to be constant: gradients flow through targets, weights and advantages"
EXPLORING = "an exploring action is any action, the greedy one among them: epsilon / A each"
ELSEWHERE = "an exploring action is never the greedy one: epsilon / (A - 1) each"
LINEAR = "the temperature's loss is linear in log alpha, -log alpha (log pi + target), instead of in alpha"
TIED = "the first of several largest has all, where the contract shares evenly"

UNDEFINED = "infinite inputs and a temperature of 0 have no answer"
EXPECTILES = ("expectile_loss", "expectile_loss_gradient")

CONVENTIONS: tuple[Convention, ...] = (
    _only("exploration", "over", "all", EXPLORING, "epsilon_greedy", "sample_epsilon_greedy"),
    _only("exploration", "over", "others", ELSEWHERE, "epsilon_greedy", "sample_epsilon_greedy"),
    _normalizer("batch"),
    _normalizer("memory"),
    _only("dueling_baseline", "baseline", "mean", "the advantages' mean is subtracted", "dueling_value", "dueling_value_gradient"),
    _only("dueling_baseline", "baseline", "max", "the largest advantage is subtracted", "dueling_value", "dueling_value_gradient"),
    Convention(
        "ties", "first", TIED,
        ("greedy", "epsilon_greedy", "sample_epsilon_greedy", "soft_policy_loss_gradient", "soft_policy_loss"),
        _ties,
        slopes=("soft_policy_loss",),
        variants={
            "greedy": _first_greedy, "epsilon_greedy": _first_epsilon_greedy, "soft_policy_loss_gradient": _first_slopes,
            "sample_epsilon_greedy": _first_sampled,
        },
    ),
    Convention("infinities", "undefined", UNDEFINED, tuple(reference.__all__), _undefined),
    Convention(
        "constants", "caller detaches", DETACHED, tuple(reference.__all__),
        excuses=(
            "no_gradient_flows_into_constants", "no_gradient_reaches_the_target", "no_gradient_reaches_the_target_action",
            "no_gradient_flows_into_the_weights", "no_gradient_flows_through_advantages_and_shares",
        ),
    ),
    Convention(
        "expectile_loss", "half", "half of the squared error is weighed, as in (y - Q)^2 / 2", EXPECTILES,
        contract=_doubled, variants={name: _halved(name) for name in EXPECTILES},
    ),
    Convention(
        "temperature_loss", "log_coefficient", LINEAR, ("temperature_loss", "temperature_loss_gradient"),
        variants={"temperature_loss": _linear_loss, "temperature_loss_gradient": _linear_slope},
        bounds={"temperature_loss": _linear_loss_bound, "temperature_loss_gradient": _linear_slope_bound},
        excuses=(
            "temperature_loss_is_its_equation_and_its_own_derivative", "differentiating_temperature_loss_moves_log_alpha_only",
            "temperature_gradient_lies_between_the_loss_s_differences",
        ),
    ),
)  # fmt: skip
"""All that may be declared, beside {"bad_input": "unchecked"}."""
