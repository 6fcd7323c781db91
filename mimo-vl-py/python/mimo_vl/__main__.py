"""The console program: `mimo-vl ask | info | quantize | serve | eval | demo`.

Errors are one line on stderr and exit status 1, wrong usage is status 2, Ctrl-C is status 130.
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
from ._commands.loading import loading

INTERRUPTED = 130


def main() -> int:
    name, *words = sys.argv[1:] or ["--help"]
    if name not in COMMANDS:
        return usage(name)
    text, options, run = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"mimo-vl {name}", description=text)
    options(parser)
    arguments = parser.parse_intermixed_args(words)
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Nobody reads the output any more; keep Python from trying once more at its end.
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
    asked = word in ("-h", "--help")
    lines = [
        "usage: mimo-vl COMMAND ...",
        "",
        *(f"  {name:9} {text}" for name, (text, _, _) in COMMANDS.items()),
        "",
        "mimo-vl COMMAND --help tells more.",
    ]
    if not asked:
        lines.insert(0, f"mimo-vl: there is no command {word!r}")
    print("\n".join(lines), file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def info(arguments: argparse.Namespace) -> int:
    model = mimo_vl.Model.load(arguments.model, device=arguments.device, weights=arguments.weights)
    lines = {"model": model.path, "device": model.device, "weights": arguments.weights, "context": model.max_context}
    config = model.path / "config.json"
    if config.is_file():
        values = json.loads(config.read_text(encoding="utf-8"))
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
        text = values | values.get("text_config", {})
        lines |= {name: text[name] for name in names if name in text}
    for name, value in lines.items():
        print(f"{name:20} {value}")
    return 0


def rounding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("target", type=Path, metavar="TARGET")
    parser.add_argument("--weights", default="int4", metavar="FORMAT", help="int4 (default) or int8")
    parser.add_argument("--question", action="append", default=[], help="compare the predictions on this text")


def quantize(arguments: argparse.Namespace) -> int:
    def progress(done: int, of: int) -> None:
        print(f"\r{done / 1e9:.2f} of {of / 1e9:.2f} GB", end="", file=sys.stderr, flush=True)

    receipt = json.loads(
        mimo_vl.quantize(
            arguments.source,
            arguments.target,
            weights=arguments.weights,
            questions=arguments.question,
            progress=progress,
        )
    )
    print(file=sys.stderr)
    for matrix in receipt["matrices"]:
        print(f"{matrix['error']:.5f}  {' + '.join(matrix['names'])}")
    for agreement in receipt["divergences"]:
        print(
            f"divergence {agreement['divergence']:.2e} nats, the same next token {100 * agreement['top1']:.1f} %, "
            f"over {agreement['tokens']} tokens: {agreement['prompt'][:60]}"
        )
    return 0


def browsing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=None, metavar="PATH", help="default: the package's mimo-vl-tiny")
    parser.add_argument("--port", default="7860")


def demo(arguments: argparse.Namespace) -> int:
    app = Path(__file__).with_name("demo") / "app.py"
    if importlib.util.find_spec("gradio") is None:
        print("mimo-vl: the demo needs gradio: pip install 'mimo-vl[demo]'", file=sys.stderr)
        return 1
    chosen = {"--model": arguments.model, "--port": arguments.port}
    given = [word for option, value in chosen.items() if value is not None for word in (option, value)]
    sys.argv = ["mimo-vl demo", *given]
    # The program names the modules beside it as a program started from its folder does.
    sys.path.insert(0, str(app.parent))
    runpy.run_path(str(app), run_name="__main__")
    return 0


Command = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
COMMANDS: dict[str, Command] = {
    "ask": ("ask a question about pictures", ask.options, ask.run),
    "info": ("tell what a checkpoint is", loading, info),
    "quantize": ("round a checkpoint once", rounding, quantize),
    "serve": ("serve OpenAI's chat completions", serve.options, serve.run),
    "eval": ("score the answers to a file of questions", evaluate.options, evaluate.run),
    "demo": ("talk with the model in a browser (needs gradio)", browsing, demo),
}

if __name__ == "__main__":
    sys.exit(main())
