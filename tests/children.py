"""Programs that are ports: `python children.py HOW` serves the reference on stdin and stdout, or something that misbehaves.

Written against the protocol's text, without the package that speaks it: only safetensors and what is served are imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402
from safetensors.numpy import load, save  # noqa: E402

import reference  # noqa: E402

Texts = dict[str, str]
INPUT, OUTPUT = sys.stdin.buffer, sys.stdout.buffer


def send(texts: Texts, *results: Any) -> None:
    """One frame; results are called 0, 1, ..."""
    data = save({str(i): np.array(each, order="C") for i, each in enumerate(results)}, texts)
    OUTPUT.write(b"TSF1" + len(data).to_bytes(4, "little") + data)
    OUTPUT.flush()


def receive() -> tuple[Texts, dict[str, Any]]:
    """The next frame; the end of the input ends the program."""
    head = INPUT.read(8)
    if len(head) < 8:
        sys.exit(0)
    data = INPUT.read(int.from_bytes(head[4:], "little"))
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header.get("__metadata__", {}), load(data)


def arguments(texts: Texts, values: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, each as what it is."""
    for name in texts.get("numbers", "").split():
        values[name] = values[name].item()
    for name in texts.get("seeds", "").split():
        values[name] = np.random.default_rng(int(values[name]))
    for name in texts.get("nones", "").split():
        values[name] = None
    for name in texts.get("sparse", "").split():
        data, indices, indptr, shape = (values.pop(f"{name}.{part}") for part in ("data", "indices", "indptr", "shape"))
        values[name] = scipy.sparse.csr_array((data, indices, indptr), shape=tuple(shape))
    for listed in texts.get("functions", "").split():
        name = listed.partition(":")[0]
        values = {key: value for key, value in values.items() if not key.startswith(f"{name}.")} | {name: function(name)}
    return values | {key[5:]: text for key, text in texts.items() if key.startswith("text:")}


def function(name: str) -> Any:
    """A function of the caller's."""

    def asked(*given: Any) -> Any:
        send({"ask": name}, *given)
        texts, answer = receive()
        if texts["status"] != "ok":
            raise ValueError(f"{name} must answer numbers; {texts['message']}")
        results = tuple(answer[str(i)] for i in range(len(answer)))
        results = tuple(each.item() if each.ndim == 0 else each for each in results)
        return results if len(results) > 1 else results[0]

    return asked


class Port:
    """The reference, in the type of the caller's arrays."""

    hello = {
        "touchstone": "1", "name": "served reference", "operators": " ".join(reference.__all__), "dtypes": "float64 float32",
        "gradients": "expectile_loss", "conventions": "", "versions": f"numpy={np.__version__}", "deterministic": "yes",
    }  # fmt: skip

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.forgotten = 0

    def serve(self) -> None:
        """Introduce itself, then answer until the input ends."""
        receive()
        self.greet()
        while True:
            texts, values = receive()
            try:
                self.answer(texts, values)
            except NotImplementedError as error:
                send({"status": "declined", "message": str(error)})
            except ValueError as error:
                send({"status": "refused", "message": str(error)})
            except Exception as error:
                send({"status": "error", "message": str(error), "type": type(error).__name__})

    def greet(self) -> None:
        send(self.hello)

    def answer(self, texts: Texts, values: dict[str, Any]) -> None:
        echo = {"status": "ok", "call": texts["call"]}
        given = arguments(texts, values)
        if "method" in texts:
            send(echo, *self.lived(texts, given))
        elif "gradient" in texts:
            weight = given.pop("cotangent", 1.0)
            send(echo, getattr(reference, texts["operator"] + "_gradient")(**given) * weight)
        elif texts["operator"] == "sum_tree":
            self.objects[texts["call"]] = reference.sum_tree(**given)
            send(echo | {"object": texts["call"]})
        else:
            self.called(texts, echo, given)

    def lived(self, texts: Texts, given: dict[str, Any]) -> tuple[Any, ...]:
        tree, method = self.objects[texts["object"]], texts["method"]
        if method == "forget":
            del self.objects[texts["object"]]
            return ()
        if method == "len":
            return (len(tree),)
        found = getattr(tree, method)
        found = found(*(given[str(i)] for i in range(len(given)))) if callable(found) else found
        return () if found is None else (found,)

    def called(self, texts: Texts, echo: Texts, given: dict[str, Any]) -> None:
        found = self.compute(texts["operator"], given)
        parts = found if isinstance(found, tuple) else (found,)
        native = np.float32 if texts["dtype"] == "float32" else np.float64
        send(echo, *(np.asarray(p).astype(native) if np.asarray(p).dtype.kind == "f" else p for p in parts))

    def compute(self, operator: str, given: dict[str, Any]) -> Any:
        return getattr(reference, operator)(**given)


# ------------------------------------------------------------------------------------------------------- what goes wrong
class Wrong(Port):
    """gae takes done for terminated or truncated."""

    def compute(self, operator: str, given: dict[str, Any]) -> Any:
        if operator == "gae":
            given["terminated"] = given["terminated"] | given["truncated"]
        return super().compute(operator, given)


class Misbehaving(Port):
    """Does something to calls of gae and of sum_tree's find."""

    hello = Port.hello | {"operators": "gae lambda_returns value_target sum_tree", "gradients": ""}

    def answer(self, texts: Texts, values: dict[str, Any]) -> None:
        if texts["operator"] == "gae" or texts.get("method") == "find":
            self.misbehave(texts, values)
        super().answer(texts, values)

    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        raise NotImplementedError


class Crashes(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)


class CrashesOnCuts(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        if "truncated" in values and values["truncated"].any():
            os._exit(3)


class Hangs(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        time.sleep(600)


class HangsOnNaN(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        if any(np.isnan(each).any() for each in values.values() if each.dtype.kind == "f"):
            time.sleep(600)


class Prints(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        print("computing gae", flush=True)


class AnswersTwice(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        send({"status": "ok", "call": texts["call"]}, np.zeros(1))


class AnswersLate(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        texts["call"] = str(int(texts["call"]) - 1)


class NoStatus(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        send({"state": "fine"})
        receive()


class NoResults(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        send({"status": "ok"})
        receive()


class AsksForNothing(Misbehaving):
    def misbehave(self, texts: Texts, values: dict[str, Any]) -> None:
        send({"ask": "matvec"})
        receive()


class Chatters(Misbehaving):
    """Floods stderr, and writes a large answer before it has read all of a large request."""

    def serve(self) -> None:
        receive()
        send(self.hello)
        head = INPUT.read(8)
        print("x" * (1 << 22), "enough", file=sys.stderr, flush=True)
        send({"status": "ok"}, np.ones(1 << 20))
        INPUT.read(int.from_bytes(head[4:], "little"))
        print("y" * (1 << 20), "the end", file=sys.stderr, flush=True)
        INPUT.read()


class Said(Port):
    """Introduces itself with what stands in the second word of the command, as JSON."""

    def greet(self) -> None:
        send(json.loads(sys.argv[2]))


class PrintsFirst(Port):
    def greet(self) -> None:
        print("loading", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    if folder := os.environ.get("CHILDREN"):
        (Path(folder) / str(os.getpid())).touch()
    globals()[sys.argv[1]]().serve()
