"""PDF files and a runner of programs, for the tests of the examples."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mimo_vl

PROGRAMS = Path(__file__).resolve().parents[1]
IMAGES = sorted((PROGRAMS.parent / "images").glob("*.png"))
PROMPT = "How many circles are there?"
CIRCLES = [2, 1, 0, 2, 1]
"""The right answers, from the README beside the images."""
TIMEOUT = 240.0
"""Timeout in seconds, far above the duration of any step."""

if not hasattr(mimo_vl, "open_pdf"):
    raise ImportError("the installed mimo_vl is too old: build the wheel of this checkout with maturin and install it")


def pdf(pages: Sequence[tuple[str, bytes]], trailer: str = "", objects: Sequence[bytes] = ()) -> bytes:
    """A file with these pages, each given by dictionary entries and contents. `objects` are numbered from 3 on."""
    first = 3 + len(objects)
    kids = " ".join(f"{first + 2 * index} 0 R" for index in range(len(pages)))
    parts = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(), *objects]
    for index, (entries, content) in enumerate(pages):
        page = f"<</Type/Page/Parent 2 0 R/Contents {first + 2 * index + 1} 0 R {entries}>>"
        parts += [page.encode(), stream("", content)]
    data, offsets = b"%PDF-1.7\n", []
    for number, part in enumerate(parts, 1):
        offsets.append(f"{len(data):010} 00000 n \n")
        data += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = f"xref\n0 {len(parts) + 1}\n0000000000 65535 f \n{''.join(offsets)}"
    end = f"trailer\n<</Size {len(parts) + 1}/Root 1 0 R {trailer}>>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + (table + end).encode()


def stream(entries: str, data: bytes) -> bytes:
    return f"<</Length {len(data)} {entries}>>\nstream\n".encode() + data + b"\nendstream"


def album(images: Sequence[Path]) -> bytes:
    """A PDF file with one image per page, at a size that renders it unchanged at 144 dpi."""
    objects, pages = [], []
    for number, path in enumerate(images, 3):
        image = mimo_vl.Image.open(path)
        entries = "/Type/XObject/Subtype/Image/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode"
        size = f"/Width {image.width}/Height {image.height}"
        objects.append(stream(entries + size, zlib.compress(image.tobytes())))
        width, height = image.width / 2, image.height / 2
        resources = f"/MediaBox[0 0 {width} {height}]/Resources<</XObject<</I {number} 0 R>>>>"
        pages.append((resources, f"{width} 0 0 {height} 0 0 cm /I Do".encode()))
    return pdf(pages, objects=objects)


def slow(folder: Path) -> list[str | Path]:
    """Options of slow answers: a schema of a long text."""
    schema = folder / "slow.json"
    schema.write_text(json.dumps({"type": "string", "minLength": 4000}))
    return ["--schema", schema, "--no-think", "--max-tokens", "300", "--batch-size", "1"]


class Program:
    """A running program. It handles SIGINT even if the tests ignore it, and is killed with its children at the end."""

    def __init__(self, name: str, *arguments: str | Path, **environment: str) -> None:
        self._output = tempfile.NamedTemporaryFile("w")  # noqa: SIM115
        self._children: set[int] = set()
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / name), *map(str, arguments)],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            start_new_session=True,
        )

    def output(self) -> str:
        return Path(self._output.name).read_text()

    def children(self) -> dict[int, str]:
        """All descendant processes with their command lines."""
        parents, commands = {}, {}
        for path in Path("/proc").iterdir():
            # A process may end meanwhile.
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.name)
                parents[pid] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                commands[pid] = (path / "cmdline").read_text().replace("\0", " ").strip()
        tree = {self._process.pid}
        while new := {pid for pid, parent in parents.items() if parent in tree} - tree:
            tree |= new
        self._children |= tree - {self._process.pid}
        return {pid: commands[pid] for pid in tree - {self._process.pid}}

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until the condition is true, while the program runs."""
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert self._process.poll() is None, f"the program has ended: {self.output()}"
            assert time.monotonic() < end, f"timeout: {self.output()}"
            time.sleep(0.02)

    def end(self, by: signal.Signals | None = None) -> int:
        """Wait for the end of the program and its children, after sending a signal if given; the exit status."""
        self.children()
        if by:
            self._process.send_signal(by)
        status = self._process.wait(TIMEOUT)
        end = time.monotonic() + TIMEOUT
        while alive := self._alive():
            assert time.monotonic() < end, f"{alive} are still running"
            time.sleep(0.1)
        return status

    def _alive(self) -> set[int]:
        # A process that has ended has no executable.
        return {pid for pid in self._children if Path(f"/proc/{pid}/exe").exists()}

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.children()
        for pid in {self._process.pid, *self._alive()} if self._process.poll() is None else self._alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()


def run(name: str, *arguments: str | Path) -> tuple[int, str]:
    """The exit status and the output of a program."""
    with Program(name, *arguments) as program:
        return program.end(), program.output()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
