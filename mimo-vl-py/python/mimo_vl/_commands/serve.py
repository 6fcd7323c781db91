"""`mimo-vl serve`: the OpenAI chat completions API over HTTP."""

import argparse
import logging
import os
from pathlib import Path

import mimo_vl

from .loading import add_load_options


def add_options(parser: argparse.ArgumentParser) -> None:
    add_load_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument(
        "--served-model-name", metavar="NAME", help="model name that clients send (default: the checkpoint's folder)"
    )
    parser.add_argument(
        "--api-key", metavar="KEY", help="key that clients must send (default: MIMO_VL_API_KEY, else none)"
    )
    parser.add_argument(
        "--allowed-origin",
        action="append",
        metavar="URL",
        help="origin of web pages that may call the server, besides those of this machine; * allows all",
    )
    parser.add_argument("--media-root", type=Path, metavar="DIR", help="folder whose files file:// URLs may name")
    parser.add_argument("--allow-remote-media", action="store_true", help="download media from http(s):// URLs")
    counts = {
        "max-concurrent": "requests that are decoded at once (default: 8)",
        "max-queued": "further requests that may wait (default: 64)",
        "max-connections": "open connections (default: 512)",
        "max-body-bytes": "bytes of a request body (default: 64 MiB)",
        "max-image-pixels": "pixels of an image; larger ones are scaled down (default: the checkpoint's limit)",
        "max-media-items": "images and videos of a request (default: 32)",
        "max-choices": "answers of a request, its field n (default: 8)",
        "max-tokens": "tokens of an answer (default: 4096)",
    }
    for name, text in counts.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=text)
    parser.add_argument(
        "--request-timeout", type=float, metavar="SECONDS", help="time for a request to arrive (default: 30)"
    )
    parser.add_argument(
        "--completion-timeout", type=float, metavar="SECONDS", help="time until an answer must end (default: 600)"
    )


def run(arguments: argparse.Namespace) -> int:
    # One line a request, and the names of fields that are ignored.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("mimo_vl.serve").setLevel(logging.INFO)
    mimo_vl.set_log_level(logging.INFO)
    model = mimo_vl.Model.load(arguments.model, device=arguments.device, weights=arguments.weights)
    server = mimo_vl.Server(
        model,
        host=arguments.host,
        port=arguments.port,
        served_model_name=arguments.served_model_name,
        api_key=os.environ.get("MIMO_VL_API_KEY") if arguments.api_key is None else arguments.api_key,
        allowed_origins=arguments.allowed_origin,
        media_root=arguments.media_root,
        allow_remote_media=arguments.allow_remote_media,
        max_concurrent=arguments.max_concurrent,
        max_queued=arguments.max_queued,
        max_connections=arguments.max_connections,
        max_body_bytes=arguments.max_body_bytes,
        max_image_pixels=arguments.max_image_pixels,
        max_media_items=arguments.max_media_items,
        max_choices=arguments.max_choices,
        max_tokens=arguments.max_tokens,
        request_timeout=arguments.request_timeout,
        completion_timeout=arguments.completion_timeout,
    )
    print(f"{model.path} at {server.url}", flush=True)
    server.run()
    return 0
