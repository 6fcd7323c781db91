"""batch_pdf.py on several Ray workers: `ray_batch.py FOLDER --prompt TEXT --workers N`.

Each worker has a model of its own, and writes each result atomically to a file of its own in the folder OUTPUT.parts.
The program moves them to the file of results, which is that of batch_pdf.py: either program continues where the other
stopped. A worker that dies is replaced; its replacement answers only the items without a file. Exit statuses are those
of batch_pdf.py.
"""

import hashlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import mimo_vl
import ray
import ray.data
import ray.exceptions
from batch_pdf import Item, Job, Record, UsageError, answer_items, load, parser, read_results, run, write_results

MAX_BLOCKS = 1000
"""Maximum number of blocks of the Ray dataset."""


def main() -> int:
    options = parser("ray_batch.py")
    options.add_argument("--workers", type=int, default=2, metavar="N", help="number of models (default: 2)")
    options.add_argument("--cpus", type=int, metavar="N", help="CPU cores per worker (default: all, divided evenly)")
    options.add_argument("--address", help="address of a running cluster, or auto (default: start one)")
    return run(options, work)


class Worker:
    """A Ray actor with a model."""

    def __init__(self, job: Job, parts: Path, threads: int) -> None:
        self.job, self.parts, self.threads = job, parts, threads
        self.model: mimo_vl.Model | None = None

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        items = [Item(*json.loads(row)) for row in rows["item"]]
        # Ray repeats the rows of an actor that died; some of them may be written.
        todo = [item for item in items if not result_path(self.parts, item.id).exists()]
        try:
            self.model = self.model or load(self.job, self.threads)
            for result in answer_items(self.model, self.job, todo):
                write_results(result_path(self.parts, result["id"]), [result])
        except mimo_vl.MimoVlError as error:
            # Every item would fail. An exception in an actor would show its traceback and hide the message.
            return {**rows, "failed": [str(error)] * len(items)}
        return {**rows, "failed": [""] * len(items)}


def result_path(parts: Path, item_id: str) -> Path:
    """The file of the result of an item."""
    return parts / f"{hashlib.sha256(os.fsencode(item_id)).hexdigest()}.json"


def clear(parts: Path) -> None:
    for path in parts.glob("*.json*"):
        path.unlink()


def work(job: Job, items: list[Item]) -> Iterator[Record]:
    if min(job.workers, 1 if job.cpus is None else job.cpus) < 1:
        raise UsageError("--workers and --cpus must be at least 1")
    parts = job.output.with_name(f"{job.output.name}.parts")
    parts.mkdir(exist_ok=True)
    todo = {item.id: item for item in items}
    # Results that an interrupted run had not moved. Failures are retried.
    for path in parts.glob("*.json"):
        for result in read_results(path, job):
            if not result["error"] and result["id"] in todo:
                del todo[result["id"]]
                yield result
    clear(parts)
    try:
        # A row may come twice if its actor died.
        for item in distribute(job, [*todo.values()], parts) if todo else ():
            if item.id in todo:
                del todo[item.id]
                yield from read_results(result_path(parts, item.id), job)
    except ray.exceptions.RayError as error:
        raise UsageError(str(error)) from error
    finally:
        ray.shutdown()
    clear(parts)
    parts.rmdir()


def distribute(job: Job, items: list[Item], parts: Path) -> Iterator[Item]:
    """Answer items on the workers. Yields each item once its result is written."""
    # Workers on other machines import batch_pdf, too.
    environment = {"working_dir": str(Path(__file__).parent)} if job.address else None
    ray.init(job.address or "local", include_dashboard=False, logging_level=logging.WARNING, runtime_env=environment)
    # Ray's handler would end this process at once and leave its child processes behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = job.cpus or max(1, int(resources["CPU"]) // job.workers), int(job.device.startswith("cuda"))
    if not job.address and (cpus * job.workers > resources["CPU"] or gpus * job.workers > resources.get("GPU", 0)):
        available = f"{resources['CPU']:g} cores and {resources.get('GPU', 0):g} GPUs"
        raise UsageError(f"{job.workers} workers do not fit on {available}")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    blocks = min(MAX_BLOCKS, -(-len(items) // job.batch_size))
    rows = ray.data.from_items([{"item": json.dumps(item)} for item in items], override_num_blocks=blocks)
    done = rows.map_batches(
        Worker,
        fn_constructor_args=(job, parts, cpus),
        batch_size=job.batch_size,
        compute=ray.data.ActorPoolStrategy(size=job.workers),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    core_threads = set(threading.enumerate())
    try:
        for row in done.iter_rows():
            if row["failed"]:
                raise UsageError(row["failed"])
            yield Item(*json.loads(row["item"]))
    finally:
        # A thread of the dataset that calls Ray after its shutdown would end this process, and lose the message.
        # One of them never ends: it sleeps.
        for thread in set(threading.enumerate()) - core_threads:
            thread.join(timeout=1)


if __name__ == "__main__":
    sys.exit(main())
