"""What batch_pdf.py does, on several workers of Ray: `ray_batch.py FOLDER --question TEXT --workers N`.

Each worker holds a model of its own, and writes each result to a file of its own in the folder OUT.parts, whole or not
at all. From there it goes into the file of lines, which is that of batch_pdf.py: either program goes on where the other
stopped. A worker that dies is replaced, and asks again only what it had not written. Statuses are those of batch_pdf.
"""

import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import mimo_vl
import ray
import ray.data
import ray.exceptions
from batch_pdf import Item, Job, Record, Refused, answers, carry_out, load, parser, read, write

BLOCKS = 1000
"""Most pieces that the work is cut into."""


def main() -> int:
    options = parser("ray_batch.py")
    options.add_argument("--workers", type=int, default=2, metavar="N", help="how many models answer (default: 2)")
    options.add_argument("--cpus", type=int, metavar="N", help="cores of each worker (default: all, shared evenly)")
    options.add_argument("--address", help="a running cluster, auto for one of this machine (default: start one)")
    return carry_out(options, work)


class Worker:
    """An actor with a model."""

    def __init__(self, job: Job, parts: Path, threads: int) -> None:
        self.job, self.parts, self.threads = job, parts, threads
        self.model: mimo_vl.Model | None = None

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        items = [Item(*json.loads(row)) for row in rows["item"]]
        # What an actor that died was given comes again, with what it had written.
        left = [item for item in items if not part(self.parts, item.id).exists()]
        try:
            self.model = self.model or load(self.job, self.threads)
            for result in answers(self.model, self.job, left):
                write(part(self.parts, result["id"]), [result])
        except mimo_vl.MimoVlError as error:
            # All others would fail, too. Ray would show where, and hide why.
            return {**rows, "failed": [str(error)] * len(items)}
        return {**rows, "failed": [""] * len(items)}


def part(parts: Path, name: str) -> Path:
    """Where the result of an item is written."""
    return parts / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"


def clear(parts: Path) -> None:
    for path in parts.glob("*.json*"):
        path.unlink()


def work(job: Job, items: list[Item]) -> Iterator[Record]:
    if min(job.workers, 1 if job.cpus is None else job.cpus) < 1:
        raise Refused("--workers and --cpus are 1 or more")
    parts = job.out.with_name(f"{job.out.name}.parts")
    parts.mkdir(exist_ok=True)
    left = {item.id: item for item in items}
    # What a run that was stopped had not moved yet. Failures are tried again.
    for path in parts.glob("*.json"):
        for result in read(path, job):
            if not result["error"] and result["id"] in left:
                del left[result["id"]]
                yield result
    clear(parts)
    try:
        # A row may come twice when its actor died.
        for item in spread(job, [*left.values()], parts) if left else ():
            if item.id in left:
                del left[item.id]
                yield from read(part(parts, item.id), job)
    except ray.exceptions.RayError as error:
        raise Refused(str(error)) from error
    finally:
        ray.shutdown()
    clear(parts)
    parts.rmdir()


def spread(job: Job, items: list[Item], parts: Path) -> Iterator[Item]:
    """Let actors answer; the items come back when their results are written."""
    # Workers on other machines import batch_pdf, too.
    environment = {"working_dir": str(Path(__file__).parent)} if job.address else None
    ray.init(job.address or "local", include_dashboard=False, logging_level=logging.WARNING, runtime_env=environment)
    # Ray would end this process at once, and leave its own behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = job.cpus or max(1, int(there["CPU"]) // job.workers), int(job.device.startswith("cuda"))
    if not job.address and (cpus * job.workers > there["CPU"] or gpus * job.workers > there.get("GPU", 0)):
        raise Refused(f"{job.workers} workers do not fit on {there['CPU']:g} cores and {there.get('GPU', 0):g} cards")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    blocks = min(BLOCKS, -(-len(items) // job.together))
    rows = ray.data.from_items([{"item": json.dumps(item)} for item in items], override_num_blocks=blocks)
    done = rows.map_batches(
        Worker,
        fn_constructor_args=(job, parts, cpus),
        batch_size=job.together,
        compute=ray.data.ActorPoolStrategy(size=job.workers),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    for row in done.iter_rows():
        if row["failed"]:
            raise Refused(row["failed"])
        yield Item(*json.loads(row["item"]))


if __name__ == "__main__":
    sys.exit(main())
