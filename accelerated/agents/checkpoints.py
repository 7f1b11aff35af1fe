"""Files that a killed run leaves whole: tensors in safetensors, what they mean in JSON, each replaced in one step."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

POINTER = "checkpoint.json"
FORMAT = 1


def write_atomically(path: Path, content: bytes) -> None:
    """The file is the old one or the new one, whenever the process dies: written beside it, flushed to the disk, renamed."""
    beside = path.with_name(f".{path.name}.part")
    with open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON, indented, atomically."""
    write_atomically(path, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, step: int) -> Path:
    """Store all tensors of one moment; the pointer names them only when they are on the disk, then older ones go.

    folder   of the run, exists
    tensors  by name; any shape, dtype and device
    about    what can be told in JSON: the agent, its configuration, versions
    step     of the run
    returns  the path of the tensors' file
    """
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    path = folder / f"checkpoint-{step}.safetensors"
    write_atomically(path, content)
    digest = hashlib.sha256(content).hexdigest()
    write_json(folder / POINTER, {**about, "format": FORMAT, "step": step, "tensors": path.name, "sha256": digest})
    for older in folder.glob("checkpoint-*.safetensors"):
        if older != path:
            older.unlink()
    return path


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest whole checkpoint of a run; None if it was killed before the first one.

    raises  ValueError if the pointer or the tensors are not what was written
    """
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    try:
        about = json.loads(pointer.read_text())
        content = (folder / about["tensors"]).read_bytes()
    except (json.JSONDecodeError, KeyError, OSError) as error:
        raise ValueError(f"{pointer} must name a checkpoint; {error}") from error
    if about.get("format") != FORMAT:
        raise ValueError(f"{pointer} must have format {FORMAT}; got {about.get('format')!r}")
    if (digest := hashlib.sha256(content).hexdigest()) != about["sha256"]:
        raise ValueError(f"{folder / about['tensors']} must have sha256 {about['sha256']}; got {digest}")
    return load(content), about


def versions() -> dict[str, str]:
    """What a figure depends on besides the code: Python, torch, NumPy and the simulators that are installed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("numpy", "gymnasium", "mujoco", "ale-py", "box2d", "gymnasium-robotics", "minari"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The processor, its cores, and the accelerator if there is one."""
    import platform

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"processor": model, "cores": os.cpu_count(), "gpu": gpu}


def commit() -> str | None:
    """The commit of the source that runs, with a plus if it was changed since; None outside a repository."""
    import subprocess

    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return name + ("+" if changed else "")
