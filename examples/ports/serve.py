"""Serve a Python port over the port protocol: python examples/ports/serve.py MODULE_OR_FILE [OPERATOR ...]

So a port may live in an environment of its own: here nothing is needed but NumPy and safetensors (SciPy for sparse matrices), and
nothing is known of the contract. A port is what `--port` takes: functions by name, DTYPES, on(*, dtype, device), gradient(...),
CONVENTIONS; its parameters must have the contract's names. Where it has more public functions than operators, name those that it
offers, in OPERATORS or on the command line. A model for other languages.
"""

import functools
import importlib
import inspect
import itertools
import json
import os
import platform
import struct
import sys

import numpy as np
from safetensors.numpy import load, save

HEAD = struct.Struct("<4sI")
held, handles = {}, itertools.count()  # objects that operators returned


def receive():
    """The texts and arrays of the next frame; the program ends where stdin does."""
    head = pipe_in.read(HEAD.size)
    if not head:
        sys.exit(0)
    mark, size = HEAD.unpack(head)
    data = pipe_in.read(size)
    if mark != b"TSF1" or len(data) < size:
        sys.exit("what came is no frame")
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header.get("__metadata__", {}), load(data)


def send(texts, results=()):
    """One frame; results are named 0, 1, ..."""
    arrays = {str(place): np.array(part, order="C") for place, part in enumerate(results)}
    if wrong := [str(array.dtype) for array in arrays.values() if array.dtype.kind not in "fiub"]:
        raise TypeError(f"results must hold real numbers or booleans; got {', '.join(wrong)}")
    data = save(arrays, texts)
    pipe_out.write(HEAD.pack(b"TSF1", len(data)) + data)
    pipe_out.flush()


def ask(name, number, *arguments):
    """What a function of the caller's answers, who has it there."""
    send({"ask": name} | number, arguments)
    texts, arrays = receive()
    if texts["status"] != "ok":
        raise ValueError(f"{name} must answer numbers; got {texts.get('message', 'nothing')}")
    parts = [arrays[str(place)][()] for place in range(len(arrays))]
    return tuple(parts) if len(parts) > 1 else parts[0]


def arguments_of(texts, arrays, number):
    """The call's arguments by name, each as the kind that it is listed as; what has a dot in its name is part of another."""
    values = arrays | {name[5:]: text for name, text in texts.items() if name.startswith("text:")}
    numbers, nones, seeds, sparse, functions = (
        [name.partition(":")[0] for name in texts.get(kind, "").split() if "." not in name.partition(":")[0]]
        for kind in ("numbers", "nones", "seeds", "sparse", "functions")
    )
    values |= {name: arrays[name].item() for name in numbers} | dict.fromkeys(nones)
    values |= {name: np.random.default_rng(int(arrays[name])) for name in seeds}
    values |= {name: functools.partial(ask, name, number) for name in functions}
    for name in sparse:
        data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr", "shape"))
        values[name] = importlib.import_module("scipy.sparse").csr_array((data, indices, indptr), shape=tuple(shape.tolist()))
    return {name: value for name, value in values.items() if "." not in name}


def placed(function, values):
    """Positional and keyword arguments as the function takes them; what is None and not taken is left out."""
    parameters = inspect.signature(function).parameters.values()
    if inspect.Parameter.VAR_KEYWORD not in [each.kind for each in parameters]:
        taken = {each.name for each in parameters}
        values = {name: value for name, value in values.items() if name in taken or value is not None}
    order = [each.name for each in parameters if each.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
    names = list(itertools.takewhile(values.__contains__, order))
    return names, [values[name] for name in names], {name: value for name, value in values.items() if name not in names}


@functools.cache
def operators(dtype, device):
    """The port's operators in that type on that device."""
    return port.on(dtype=dtype, device=device) if hasattr(port, "on") else port


def answer(texts, arrays, number):
    """What the port answers to one call."""
    if "object" in texts:
        handle, method = texts["object"], texts["method"]
        if method in ("forget", "len"):
            return len(held[handle]) if method == "len" else held.pop(handle, None) and None
        found = getattr(held[handle], method)
        return found(*(arrays[str(place)] for place in range(len(arrays)))) if callable(found) else found
    offered, weight = operators(texts["dtype"], texts["device"]), arrays.pop("cotangent", None)
    function, wanted = getattr(offered, texts["operator"]), texts.get("gradient")
    names, positional, keywords = placed(function, arguments_of(texts, arrays, number))
    if wanted is None:
        return function(*positional, **keywords)
    argument = names.index(wanted) if wanted in names else wanted
    return offered.gradient(texts["operator"], argument, *positional, cotangent=weight, **keywords)


def introduction():
    """What the port offers."""
    dtypes = getattr(port, "DTYPES", ("float64",))
    offered = operators(dtypes[0], "cpu")
    public = [name for name in dir(offered) if name[0] != "_" and name not in ("on", "gradient")]
    functions = [name for name in public if callable(getattr(offered, name)) and not inspect.isclass(getattr(offered, name))]
    names = " ".join(sys.argv[2:] or getattr(port, "OPERATORS", functions))
    said = {"touchstone": "1", "name": port.__name__, "operators": names, "dtypes": " ".join(dtypes)}
    said["gradients"] = names if hasattr(offered, "gradient") else ""
    said["conventions"] = " ".join(f"{key}={value}" for key, value in getattr(port, "CONVENTIONS", {}).items())
    return said | {"versions": f"python={platform.python_version()} numpy={np.__version__}"}


def reply(texts, arrays):
    """Exactly one answer to one message; it bears the number of its call."""
    number = {"call": texts["call"]} if "call" in texts else {}
    try:
        found = answer(texts, arrays, number)
        if found is None or isinstance(found, tuple | list | int | float | np.generic) or hasattr(found, "__array__"):
            return send({"status": "ok"} | number, found if isinstance(found, tuple) else () if found is None else (found,))
        handle = str(next(handles))
        held[handle] = found
        return send({"status": "ok", "object": handle} | number)
    except Exception as error:
        kinds = {"refused": ValueError, "declined": NotImplementedError, "error": Exception}
        status = next(name for name, kind in kinds.items() if isinstance(error, kind))
        return send({"status": status, "type": type(error).__name__, "message": str(error)} | number)


if __name__ == "__main__":
    pipe_in, pipe_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the port's own input is empty,
    os.dup2(2, 1)  # and whatever it prints goes to stderr
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[1])) if sys.argv[1].endswith(".py") else os.getcwd())
    port = importlib.import_module(os.path.basename(sys.argv[1]).removesuffix(".py"))
    while True:
        message = receive()
        send(introduction()) if "touchstone" in message[0] else reply(*message)
