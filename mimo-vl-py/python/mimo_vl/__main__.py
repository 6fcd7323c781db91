"""The console program: `mimo-vl ask | info | quantize | serve | eval | demo`.

An error is one line on stderr and exit status 1; wrong usage is status 2, Ctrl-C status 130.
"""

import argparse
import importlib.util
import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import mimo_vl

from ._commands import ask, evaluate, serve
from ._commands.loading import add_load_options

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT."""


def main() -> int:
    name, *words = sys.argv[1:] or ["--help"]
    if name not in COMMANDS:
        return usage(name)
    description, add_options, run = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"mimo-vl {name}", description=description)
    add_options(parser)
    arguments = parser.parse_intermixed_args(words)
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader of the output has ended; without this, Python flushes again at exit and fails.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (mimo_vl.MimoVlError, OSError, ValueError) as error:
        print(f"mimo-vl: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mimo-vl: interrupted", file=sys.stderr)
        return INTERRUPTED


def usage(word: str) -> int:
    if word == "--version":
        print(f"mimo-vl {mimo_vl.__version__}")
        return 0
    is_help = word in ("-h", "--help")
    lines = [
        "usage: mimo-vl COMMAND ...",
        "",
        *(f"  {name:9} {description}" for name, (description, _, _) in COMMANDS.items()),
        "",
        "mimo-vl COMMAND --help prints its options.",
    ]
    if not is_help:
        lines.insert(0, f"mimo-vl: unknown command {word!r}")
    print("\n".join(lines), file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


def info(arguments: argparse.Namespace) -> int:
    model = mimo_vl.Model.load(arguments.model, device=arguments.device, weights=arguments.weights)
    lines = {"model": model.path, "device": model.device, "weights": arguments.weights, "context": model.max_context}
    config = model.path / "config.json"
    if config.is_file():
        values = json.loads(config.read_text(encoding="utf-8"))
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
        text_config = values | values.get("text_config", {})
        lines |= {name: text_config[name] for name in names if name in text_config}
    for name, value in lines.items():
        print(f"{name:20} {value}")
    return 0


def add_quantize_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="CHECKPOINT_DIR")
    parser.add_argument("target", type=Path, metavar="OUT_DIR")
    parser.add_argument("--weights", default="int4", metavar="FORMAT", help="int8 or int4 (default: int4)")
    parser.add_argument(
        "--prompt",
        action="append",
        default=[],
        metavar="TEXT",
        help="report the KL divergence from the original model on this prompt; may be repeated",
    )


def quantize(arguments: argparse.Namespace) -> int:
    def progress(done: int, total: int) -> None:
        print(f"\r{done / 1e9:.2f} of {total / 1e9:.2f} GB", end="", file=sys.stderr, flush=True)

    report = json.loads(
        mimo_vl.quantize(
            arguments.source,
            arguments.target,
            weights=arguments.weights,
            prompts=arguments.prompt,
            progress=progress,
        )
    )
    print(file=sys.stderr)
    for matrix in report["matrices"]:
        print(f"{matrix['error']:.5f}  {' + '.join(matrix['names'])}")
    for divergence in report["divergences"]:
        print(
            f"KL divergence {divergence['divergence']:.2e} nats, top-1 agreement {100 * divergence['top1']:.1f} %, "
            f"{divergence['tokens']} tokens: {divergence['prompt'][:60]}"
        )
    return 0


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=None, metavar="PATH", help="default: the package's mimo-vl-tiny")
    parser.add_argument("--port", default="7860")


def demo(arguments: argparse.Namespace) -> int:
    app = Path(__file__).with_name("demo") / "app.py"
    if importlib.util.find_spec("gradio") is None:
        print("mimo-vl: the demo needs gradio: pip install 'mimo-vl[demo]'", file=sys.stderr)
        return 1
    options = {"--model": arguments.model, "--port": arguments.port}
    words = [word for option, value in options.items() if value is not None for word in (option, value)]
    sys.argv = ["mimo-vl demo", *words]
    # The program imports the modules of its own folder.
    sys.path.insert(0, str(app.parent))
    runpy.run_path(str(app), run_name="__main__")
    return 0


Command = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
COMMANDS: dict[str, Command] = {
    "ask": ("answer a prompt about images", ask.add_options, ask.run),
    "info": ("print the properties of a checkpoint", add_load_options, info),
    "quantize": ("quantize a checkpoint", add_quantize_options, quantize),
    "serve": ("serve the OpenAI chat completions API", serve.add_options, serve.run),
    "eval": ("score the answers to a question file", evaluate.add_options, evaluate.run),
    "demo": ("chat with the model in a browser (needs gradio)", add_demo_options, demo),
}

if __name__ == "__main__":
    sys.exit(main())
