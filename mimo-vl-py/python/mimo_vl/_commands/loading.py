"""Options of the commands that load a model."""

import argparse


def add_load_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="PATH", help="checkpoint folder, GGUF file or hub id (default: the package's mimo-vl-tiny)"
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, ndarray or cuda:0 (default: cpu)")
    parser.add_argument("--weights", default="native", metavar="FORMAT", help="native, f32, f16, bf16, int8 or int4")
