"""Serve a model to OpenAI's clients with Ray Serve: `ray_serve.py --replicas N`, until Ctrl-C, which is status 130.

Each replica holds a model and a `mimo_vl.Server` on the loopback of its machine, and passes requests on to it: answers
as they are written, and the news that a client is gone, which ends its question. In a cluster that runs already,
`serve run ray_serve:build replicas=2` does the same with the fields of `Options`. Clients need a key if the environment
variable MIMO_VL_API_KEY has one. Errors are status 1, wrong usage is status 2.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import aiohttp
import mimo_vl
import pydantic
import ray
import ray.exceptions
import yarl
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

INTERRUPTED = 130
OWN = {"connection", "content-length", "date", "host", "keep-alive", "server", "te", "transfer-encoding", "upgrade"}
"""Headers that each connection has of its own, and that are not passed on."""


class Options(pydantic.BaseModel, extra="forbid"):
    """What is served, and by how many."""

    model: str | None = pydantic.Field(None, description="a checkpoint, at the same place on every machine")
    device: str = pydantic.Field("cpu", description="cpu, ndarray or cuda:0; Ray gives each replica a card of its own")
    weights: str = pydantic.Field("native", description="native, f32, f16, bf16, int8 or int4")
    replicas: int = pydantic.Field(1, ge=1, description="how many models answer")
    cpus: int = pydantic.Field(1, ge=1, description="cores of each replica")
    together: int = pydantic.Field(8, ge=1, description="questions that a replica answers at a time")


class Replica:
    """A model, a server of its own, and the way to it."""

    def __init__(self, options: dict[str, Any], key: str | None) -> None:
        self._name = serve.get_replica_context().replica_id.unique_id
        self._open = contextlib.ExitStack()
        self._client: aiohttp.ClientSession | None = None
        device, weights = options["device"], options["weights"]
        model = mimo_vl.Model.load(options["model"], device=device, weights=weights, threads=options["cpus"])
        server = mimo_vl.Server(model, port=0, max_concurrent=options["together"], api_key=key)
        self._url = self._open.enter_context(server).url.removesuffix("/v1")

    async def __call__(self, request: Request) -> Response:
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        url = yarl.URL(f"{self._url}{quote(path)}?{request.url.query}", encoded=True)
        headers, body = passed_on(request.headers), await request.body()
        try:
            # Serve cancels this when the client goes away, and that closes the connection to the server.
            reply = await self._session().request(request.method, url, headers=headers, data=body)
        except aiohttp.ClientError as error:
            reason = {"message": f"the replica's server does not answer: {error}", "type": "server_error"}
            return JSONResponse({"error": reason}, 502)
        return StreamingResponse(parts(reply), reply.status, {**passed_on(reply.headers), "x-replica": self._name})

    async def check_health(self) -> None:
        """Ray replaces a replica for which this fails."""
        async with self._session().get(f"{self._url}/health") as reply:
            reply.raise_for_status()

    async def __del__(self) -> None:
        if self._client:
            await self._client.close()
        self._open.close()

    def _session(self) -> aiohttp.ClientSession:
        if not self._client:
            # Answers take as long as they take: the server has a limit.
            self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False)
        return self._client


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in OWN}


async def parts(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with reply:
        async for part in reply.content.iter_any():
            yield part


def build(options: Options) -> serve.Application:
    """The application, for `serve run` and configuration files."""
    deployment = serve.deployment(
        name="mimo-vl",
        num_replicas=options.replicas,
        # Some wait at the replica, so that the next is there when an answer is over.
        max_ongoing_requests=2 * options.together,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": 1 if options.device.startswith("cuda") else 0},
    )
    return deployment(Replica).bind(options.model_dump(), os.environ.get("MIMO_VL_API_KEY"))


def main() -> int:
    arguments = vars(parser().parse_args())
    http = {"host": arguments.pop("host"), "port": arguments.pop("port")}
    quiet = {"log_level": "WARNING"}
    try:
        with contextlib.ExitStack() as running:
            application = build(Options(**arguments))
            ray.init("local", include_dashboard=False, logging_level=logging.WARNING)
            running.callback(ray.shutdown)
            # Ray would end this process at once, and leave its own behind.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            serve.start(http_options=http, logging_config=quiet)
            running.callback(serve.shutdown)
            serve.run(application, logging_config=quiet)
            print(f"http://{http['host']}:{http['port']}/v1", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return INTERRUPTED
    except (pydantic.ValidationError, ray.exceptions.RayError, RuntimeError) as error:
        print(f"ray_serve.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ray_serve.py", description="Serve a model with Ray Serve.")
    for name, field in Options.model_fields.items():
        default = field.default
        help = f"{field.description} (default: {default or 'mimo-vl-tiny'})"
        parser.add_argument(f"--{name}", default=default, type=int if isinstance(default, int) else str, help=help)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    return parser


if __name__ == "__main__":
    sys.exit(main())
