"""`mimo-vl serve`: OpenAI's chat completions over HTTP."""

import argparse
import os
from pathlib import Path

import mimo_vl

from .loading import loading


def options(parser: argparse.ArgumentParser) -> None:
    loading(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    parser.add_argument("--port", type=int, default=8000, help="0 takes one that is free (default: 8000)")
    parser.add_argument("--name", help="what clients call the model (default: the name of its folder)")
    parser.add_argument(
        "--api-key", metavar="KEY", help="what clients must send (default: MIMO_VL_API_KEY, else nothing)"
    )
    parser.add_argument("--files", type=Path, metavar="DIR", help="the folder that file:// addresses may name")
    parser.add_argument("--fetch", action="store_true", help="fetch pictures from other machines")
    numbers = {
        "together": "questions that are answered at once",
        "queue": "questions that may wait besides",
        "connections": "connections at once",
        "max-body": "most bytes of a request",
        "max-pixels": "pictures with more pixels are shown to the model smaller",
        "max-media": "most pictures and videos of a request",
        "max-tokens": "most tokens of an answer",
    }
    for name, text in numbers.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=text)
    parser.add_argument("--receive", type=float, metavar="SECONDS", help="longest time for a request to arrive")
    parser.add_argument("--answer", type=float, metavar="SECONDS", help="longest time until an answer is over")


def run(arguments: argparse.Namespace) -> int:
    model = mimo_vl.Model.load(arguments.model, device=arguments.device, weights=arguments.weights)
    server = mimo_vl.Server(
        model,
        host=arguments.host,
        port=arguments.port,
        name=arguments.name,
        api_key=os.environ.get("MIMO_VL_API_KEY") if arguments.api_key is None else arguments.api_key,
        files=arguments.files,
        fetch=arguments.fetch,
        together=arguments.together,
        queue=arguments.queue,
        connections=arguments.connections,
        max_body=arguments.max_body,
        max_pixels=arguments.max_pixels,
        max_media=arguments.max_media,
        max_tokens=arguments.max_tokens,
        receive=arguments.receive,
        answer=arguments.answer,
    )
    print(f"{model.path} at {server.url}", flush=True)
    server.run()
    return 0
