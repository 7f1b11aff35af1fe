"""Objects of a port: each method call is timed, noted for the report, and what it raises refutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from properties._claim import Call, Died, NotAsked

if TYPE_CHECKING:
    from properties._trial import Trial

HELD = "held"
"""The name of the object in what a report prints."""


class Held:
    """An object that an operator of the port returned: `held.update(...)` calls its method, `held.value_of("total")` reads it."""

    def __init__(self, trial: Trial, operator: str, call: Call) -> None:
        self._trial = trial
        trial.calls.append((f"{HELD} = port.{operator}", call))
        self._object = trial.timed(operator, lambda: trial.port.operator(operator)(*call.arguments, **call.keywords))

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *arguments, **keywords: self._call(method, Call(arguments, keywords))

    def _call(self, method: str, call: Call) -> Any:
        self._trial.calls.append((f"{HELD}.{method}", call))
        return self._trial.timed(method, lambda: getattr(self._object, method)(*call.arguments, **call.keywords))

    def value_of(self, attribute: str) -> Any:
        """An attribute or property, as a float64 array without axes or whatever it is."""
        return self._trial.timed(attribute, lambda: np.asarray(getattr(self._object, attribute)))

    def refusal(self, method: str, *arguments: Any) -> BaseException | None:
        """What the method raises on an argument that may be bad; None if it answers. What no message carries is refused by that."""
        self._trial.calls.append((f"{HELD}.{method}", Call(arguments, {})))
        try:
            getattr(self._object, method)(*arguments)
        except Died as died:
            self._trial.refuted = died
            raise
        except NotAsked as error:
            return ValueError(str(error))
        except Exception as error:
            return error
        return None

    def __len__(self) -> int:
        return int(self._trial.timed("len", lambda: len(self._object)))


def history(calls: list[tuple[str, Call]], longest: int = 60) -> list[tuple[str, Call]]:
    """The calls that a report prints: the last three, or an object's life from its making on."""
    births = [place for place, (name, _) in enumerate(calls) if name.startswith(f"{HELD} =")]
    return calls[births[-1] :][-longest:] if births else calls[-3:]
