"""The protocol's page: every byte that it prints is what goes over the pipes, and what it lists is what the code knows.

`python tests/test_protocol.py` writes the dumps anew.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from properties import _wire
from properties._claim import DEADLY
from properties._command_port import VERSION, CommandPort
from properties._frames import LARGEST, MARK, received

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "protocol.md"
CPP = ROOT / "examples" / "ports" / "cpp"
DUMPS = ("greeting", "introduction", "request", "answer", "refusal")


def dumped(data: bytes) -> str:
    """Offset, sixteen bytes, and what of them is printable."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        lines.append(f"{at:04x}  {row.hex(' '):47}  {''.join(chr(c) if 32 <= c < 127 else '.' for c in row)}".rstrip())
    return "\n".join(lines)


def recorded(program: Path, folder: Path) -> dict[str, str]:
    """What goes over the pipes when a C++ port is asked for gae twice, the second time with a bad discount."""
    there, back = folder / "there", folder / "back"
    command = f"tee {shlex.quote(str(there))} | {shlex.quote(str(program))} | tee {shlex.quote(str(back))}"
    port = CommandPort(f"sh -c {shlex.quote(command)}", 60.0, lambda group: None)
    gae = port.on(dtype="float64", device="cpu").gae
    path = (np.array([1.0, 2.0]), np.array([False, False]), np.array([False, True]), np.array([0.5, 0.25]), np.array([0.25, 4.0]))
    assert gae(*path, lambda_=0.5, discount=0.5).tolist() == [1.5625, 3.75]
    with pytest.raises(ValueError, match="discount"):
        gae(*path, lambda_=0.5, discount=1.5)
    asked, said = frames(there.read_bytes()), frames(back.read_bytes())
    return dict(zip(DUMPS, map(dumped, (asked[0], said[0], asked[1], said[1], said[2])), strict=True))


def frames(stream: bytes) -> list[bytes]:
    """The frames of a stream."""
    pipe, ends = io.BytesIO(stream), [0]
    while pipe.tell() < len(stream):
        received(pipe.read)
        ends.append(pipe.tell())
    return [stream[begin:end] for begin, end in zip(ends, ends[1:], strict=False)]


def built(folder: Path) -> Path:
    """The C++ port, compiled."""
    program = folder / "port"
    subprocess.run(["g++", "-std=c++17", "-o", str(program), str(CPP / "port.cpp")], check=True)
    return program


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- bytes: {name} -->\n```text\n)(.*?)(\n```)", re.DOTALL)


@pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++")
def test_every_dump_is_what_goes_over_the_pipes(tmp_path: Path) -> None:
    text = PAGE.read_text()
    for name, dump in recorded(built(tmp_path), tmp_path).items():
        (found,) = block(name).findall(text)
        assert found[1] == dump, name
    assert len(re.findall(r"<!-- bytes: ", text)) == len(DUMPS)


def test_the_dumps_can_be_read_as_the_page_says() -> None:
    (_, rows, _) = block("request").findall(PAGE.read_text())[0]
    data = bytes.fromhex("".join(row[6:53] for row in rows.splitlines()))
    mark, length, size = data[:4], int.from_bytes(data[4:8], "little"), int.from_bytes(data[8:16], "little")
    header = json.loads(data[16 : 16 + size])
    begin, end = header["reward"]["data_offsets"]
    reward = np.frombuffer(data[16 + size :][begin:end], dtype="<f8")
    assert (mark, length, reward.tolist()) == (MARK, len(data) - 8, [1.0, 2.0])
    (shown,) = re.findall(r"<!-- header: request -->\n```json\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert json.loads(shown) == header


def test_what_the_page_lists_is_what_the_code_knows() -> None:
    text = PAGE.read_text()
    for name in (*_wire.LISTS, *_wire.KINDS):
        assert f"`{name}`" in text, name
    for words in (*DEADLY, MARK.decode(), f"{LARGEST:,}", f'`"{VERSION}"`', _wire.TEXT):
        assert words.strip() in text, words
    assert not re.search(r"/(?:work|home|root|tmp)/", text)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        page = PAGE.read_text()
        for each, rows in recorded(built(Path(place)), Path(place)).items():
            page = block(each).sub(lambda found, rows=rows: found[1] + rows + found[3], page)
    PAGE.write_text(page)
    sys.exit(0)
