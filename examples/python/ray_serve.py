"""Serve a model with Ray Serve as an OpenAI-compatible server: `ray_serve.py --replicas N`.

Each replica has a model and a `mimo_vl.Server` on the loopback interface of its machine, and forwards requests to it:
answers are streamed, and a request ends when its client disconnects. On a running cluster, `serve run ray_serve:build
replicas=2` does the same with the fields of `Options`. The environment variable MIMO_VL_API_KEY sets the key that
clients must send. Errors are exit status 1, wrong usage is status 2, Ctrl-C is status 130.
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
HOP_BY_HOP = {"connection", "content-length", "date", "host", "keep-alive", "server", "te"}
HOP_BY_HOP |= {"transfer-encoding", "upgrade"}
"""Headers of a single connection, which are not forwarded."""


class Options(pydantic.BaseModel, extra="forbid"):
    """Model and number of replicas."""

    model: str | None = pydantic.Field(None, description="checkpoint, at the same path on every machine")
    device: str = pydantic.Field("cpu", description="cpu, ndarray or cuda:0; Ray gives each replica a GPU of its own")
    weights: str = pydantic.Field("native", description="native, f32, f16, bf16, int8 or int4")
    replicas: int = pydantic.Field(1, ge=1, description="number of models")
    cpus: int = pydantic.Field(1, ge=1, description="CPU cores per replica")
    max_concurrent: int = pydantic.Field(8, ge=1, description="concurrent requests per replica")


class Replica:
    """A model and its server, to which requests are forwarded."""

    def __init__(self, options: dict[str, Any], key: str | None) -> None:
        self._name = serve.get_replica_context().replica_id.unique_id
        self._open = contextlib.ExitStack()
        self._client: aiohttp.ClientSession | None = None
        device, weights = options["device"], options["weights"]
        model = mimo_vl.Model.load(options["model"], device=device, weights=weights, threads=options["cpus"])
        server = mimo_vl.Server(model, port=0, max_concurrent=options["max_concurrent"], api_key=key)
        self._url = self._open.enter_context(server).url.removesuffix("/v1")

    async def __call__(self, request: Request) -> Response:
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        url = yarl.URL(f"{self._url}{quote(path)}?{request.url.query}", encoded=True)
        headers, body = forwarded(request.headers), await request.body()
        try:
            # Ray cancels this call when the client disconnects, which closes the connection to the server.
            reply = await self._session().request(request.method, url, headers=headers, data=body)
        except aiohttp.ClientError as error:
            reason = {"message": f"the server of the replica does not respond: {error}", "type": "server_error"}
            return JSONResponse({"error": reason}, 502)
        return StreamingResponse(chunks(reply), reply.status, {**forwarded(reply.headers), "x-replica": self._name})

    async def check_health(self) -> None:
        """Raise if the server does not respond: Ray then replaces the replica."""
        async with self._session().get(f"{self._url}/health") as reply:
            reply.raise_for_status()

    async def __del__(self) -> None:
        if self._client:
            await self._client.close()
        self._open.close()

    def _session(self) -> aiohttp.ClientSession:
        if not self._client:
            # No timeout of its own: the server limits the time of an answer.
            self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False)
        return self._client


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


async def chunks(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with reply:
        async for chunk in reply.content.iter_any():
            yield chunk


def build(options: Options) -> serve.Application:
    """Build the application, for `serve run` and configuration files."""
    deployment = serve.deployment(
        name="mimo-vl",
        num_replicas=options.replicas,
        # Twice as many, so that a queued request can start as soon as an answer ends.
        max_ongoing_requests=2 * options.max_concurrent,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": 1 if options.device.startswith("cuda") else 0},
    )
    return deployment(Replica).bind(options.model_dump(), os.environ.get("MIMO_VL_API_KEY"))


def main() -> int:
    arguments = vars(parser().parse_args())
    http = {"host": arguments.pop("host"), "port": arguments.pop("port")}
    quiet = {"log_level": "WARNING"}
    try:
        with contextlib.ExitStack() as stack:
            application = build(Options(**arguments))
            ray.init("local", include_dashboard=False, logging_level=logging.WARNING)
            stack.callback(ray.shutdown)
            # Ray's handler would end this process at once and leave its child processes behind.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            serve.start(http_options=http, logging_config=quiet)
            stack.callback(serve.shutdown)
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
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, default=default, type=int if isinstance(default, int) else str, help=help)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
