"""Calls as Python that one can paste: exact floats, short arrays, sparse matrices by their parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._claim import Call, Seeded

LONGEST = 400
"""Arrays of more entries are abbreviated; the replay command brings them back."""


def as_python(name: str, call: Call, module: str = "port") -> str:
    """`name(...)` with every argument written out, so that it can be pasted after `import numpy as np`; a dotted name stays."""
    target = name if "." in name else f"{module}.{name}"
    parts = [_literal(value) for value in call.arguments]
    parts += [f"{key}={_literal(value)}" for key, value in call.keywords.items()]
    one_line = f"{target}({', '.join(parts)})"
    return one_line if len(one_line) <= 110 else f"{target}(\n    " + ",\n    ".join(parts) + ",\n)"


def _literal(value: Any) -> str:
    if hasattr(value, "indptr"):
        parts = ", ".join(_literal(part) for part in (value.data, value.indices, value.indptr))
        return f"scipy.sparse.csr_array(({parts}), shape={value.shape})"
    if isinstance(value, (np.ndarray, np.generic)):
        return _array(np.asarray(value))
    if isinstance(value, bytes):
        return "saved"  # what save() returned
    if isinstance(value, Seeded):
        return f"np.random.default_rng({value.seed})"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = ", ".join(f"{name}={_literal(item)}" for name, item in zip(value._fields, value, strict=True))
        return f"{type(value).__module__}.{type(value).__name__}({fields})"
    if isinstance(value, float) and not np.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _array(value: np.ndarray[Any, Any]) -> str:
    if value.size > LONGEST:
        return f"np.{type(value).__name__}(shape={value.shape}, too long to print: replay)"
    if value.size == 0:
        return f"np.zeros({value.shape}{_dtype_of(value)})"
    body = np.array2string(value, separator=", ", threshold=value.size + 1, max_line_width=10**9, formatter=_FORMAT)
    body = " ".join(body.split())
    return f"np.array({body}{_dtype_of(value)})"


def _dtype_of(value: np.ndarray[Any, Any]) -> str:
    """The dtype where the literal does not imply it."""
    implied = value.dtype == np.float64 or (value.dtype in (np.int64, np.bool_) and value.size > 0)
    return "" if implied else f", dtype=np.{value.dtype.name}"


def _number(value: Any) -> str:
    value = float(value)
    return repr(value) if np.isfinite(value) else {"inf": "np.inf", "-inf": "-np.inf"}.get(str(value), "np.nan")


_FORMAT: Any = {"float_kind": _number, "bool": lambda flag: str(bool(flag))}
