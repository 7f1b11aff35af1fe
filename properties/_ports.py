"""A port: whatever offers the operators by name. Found by module name or by path, and asked what it can do."""

from __future__ import annotations

import dis
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import reference
from properties._claim import RECORDS, Absent
from properties._conventions import Convention, declared

KNOWN_DTYPES = ("float64", "float32", "bfloat16")
COMMAND = "command:"
"""What stands before a port that is a program, not a module."""
PATIENCE = 20.0
"""Seconds that one call of an operator may take before it counts as hanging."""


class PortError(Exception):
    """A port that cannot be tried at all; the text is one line for the user."""


class Port:
    """The operators of one implementation, in one dtype on one device, NumPy in and NumPy out.

    A port is a module (or any object) with functions named as in the contract. Optional attributes:
    DTYPES      the types it offers, of "float64", "float32", "bfloat16"; without it, float64 only is tried.
    on(*, dtype, device)   returns the operators for that dtype and device; bfloat16 arrays travel as float32 arrays.
    gradient(operator, argument, *args, cotangent=None, **kwargs)   what its autodiff says d(sum of cotangent * result)/d(argument)
                is, the argument a position or a keyword's name; without it those claims are absent.
    CONVENTIONS a dict of declared conventions, of those in _conventions.py; {"bad_input": "unchecked"} declares that bad input is
                undefined behaviour.
    ABOUT       a dict of what a report says about it: its name, its versions.
    """

    def __init__(
        self, module: Any, name: str, dtype: str = "float64", device: str = "cpu", settings: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.dtype, self.device = name, dtype, device
        self._module, self._settings = module, dict(settings or {})
        self._declared = self._declarations()
        make = getattr(module, "on", None)
        if device != "cpu" and not callable(make):
            raise PortError(f"port {name} has no on(*, dtype, device), so it cannot be put on {device}")
        self._operators = make(dtype=dtype, device=device) if callable(make) else module

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types that this port offers, widest first."""
        default = ("float64",)
        offered = tuple(getattr(self._module, "DTYPES", default))
        unknown = [dtype for dtype in offered if dtype not in KNOWN_DTYPES]
        if unknown or not offered:
            raise PortError(f"DTYPES of port {self.name} must be some of {', '.join(KNOWN_DTYPES)}; got {offered}")
        return tuple(dtype for dtype in KNOWN_DTYPES if dtype in offered)

    @property
    def conventions(self) -> dict[str, str]:
        """The conventions that the port declares, itself or in its settings."""
        own = dict(getattr(self._module, "CONVENTIONS", {}))
        for key, value in self._settings.items():
            if own.get(key, value) != value:
                raise PortError(f"port {self.name}: its CONVENTIONS say {key!r}: {own[key]!r}, its settings {value!r}")
        return own | self._settings

    def settled(self) -> None:
        """Called between trials: Refuted if the port did more than it was asked for."""
        look = getattr(self._module, "settled", None)
        if callable(look) and self.name.startswith(COMMAND):
            look()

    @property
    def about(self) -> dict[str, str]:
        """What the port says of itself."""
        return dict(getattr(self._module, "ABOUT", {}))

    def _declarations(self) -> tuple[Convention, ...]:
        try:
            return declared(self.conventions)
        except (ValueError, TypeError) as error:
            raise PortError(f"port {self.name}: {error}") from error

    def declares(self, operator: str) -> tuple[Convention, ...]:
        """The declared conventions that concern an operator."""
        return tuple(each for each in self._declared if operator in each.operators)

    def excuse(self, claim: str, operator: str) -> str:
        """Why a claim is not tried: it is about what a declared convention does otherwise. Empty if it is."""
        excused = [each for each in self.declares(operator) if claim in each.excuses]
        return f"declared {excused[0].key}: {excused[0].value}" if excused else ""

    def due(self, operator: str) -> Callable[..., Any]:
        """What the port is compared with: the reference, or the variant that a declared convention puts in its place."""
        others = [each.variants[operator] for each in self.declares(operator) if operator in each.bounds]
        return others[0] if others else getattr(reference, operator)

    def bound(self, operator: str) -> Callable[..., Any]:
        """The derived error bound of what is due."""
        others = [each.bounds[operator] for each in self.declares(operator) if operator in each.bounds]
        return others[0] if others else RECORDS[operator].bound

    def offers(self, operator: str) -> bool:
        """Whether the port has this operator, and it does more than raise NotImplementedError."""
        found = getattr(self._operators, operator, None)
        return callable(found) and not _unwritten(found)

    def operator(self, name: str) -> Callable[..., Any]:
        """The port's operator; Absent if it has none."""
        found = getattr(self._operators, name, None)
        if not callable(found):
            raise Absent(f"{self.name} does not offer {name}")
        if name == "gradient":
            return self._gradient(found)
        for convention in self.declares(name):
            found = convention.applied(name, found)
        return found

    def _gradient(self, found: Callable[..., Any]) -> Callable[..., Any]:
        """The port's derivatives, under the conventions of the operator that is differentiated."""

        def gradient(operator: str, argument: int | str, *arguments: Any, **keywords: Any) -> Any:
            def sloped(*given: Any, **knobs: Any) -> Any:
                return found(operator, argument, *given, **knobs)

            for convention in self.declares(operator):
                sloped = convention.applied(operator, sloped, derivative=True)
            return sloped(*arguments, **keywords)

        return gradient

    def using(self, dtype: str, device: str) -> Port:
        """The same port in another dtype or on another device."""
        return Port(self._module, self.name, dtype, device, self._settings)

    @property
    def native(self) -> type[np.floating[Any]]:
        """The NumPy type in which this port's arrays travel."""
        return np.float64 if self.dtype == "float64" else np.float32


REFERENCE = Port(reference, "reference")


def load_port(
    where: str,
    *,
    dtype: str = "float64",
    device: str = "cpu",
    settings: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
    started: Callable[[int], None] = lambda group: None,
) -> Port:
    """The port at a module name or a path to a .py file; a package that holds a module `port` is tried through that.

    `command:` and a command line is a program: each call may take `patience` seconds, and `started` is told its process group.
    """
    if where.startswith(COMMAND):
        from properties._command_port import CommandPort

        return Port(CommandPort(where.removeprefix(COMMAND), patience, started), where, dtype, device, settings)
    module = _from_path(Path(where)) if where.endswith(".py") or "/" in where else _from_name(where)
    return Port(module, where, dtype, device, settings)


def _from_name(name: str) -> Any:
    if not all(part.isidentifier() for part in name.split(".")):
        raise PortError(f"a port is a module name or a path to a .py file; got {name!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(name)
        has_port = hasattr(module, "__path__") and importlib.util.find_spec(f"{name}.port") is not None
        return importlib.import_module(f"{name}.port") if has_port else module
    except (Exception, SystemExit) as error:
        raise PortError(f"port {name} does not import: {type(error).__name__}: {first_line(error)}") from error


def _from_path(path: Path) -> Any:
    if not path.is_file():
        raise PortError(f"port {path} does not exist")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise PortError(f"port {path} must be a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PortError(f"port {path} does not import: {type(error).__name__}: {first_line(error)}") from error
    return module


def _unwritten(function: Any) -> bool:
    """Whether all that a function can do is raise NotImplementedError: one of an adapter that nobody has filled in yet."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_names != ("NotImplementedError",):
        return False
    return not any(each.opname.startswith(("RETURN", "YIELD")) for each in dis.get_instructions(code))


def first_line(error: BaseException) -> str:
    """The first line of an exception's text."""
    return (str(error).strip().splitlines() or [""])[0]
