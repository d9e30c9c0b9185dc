"""Which commands there are, and what they are told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from twinflow.core.errors import TwinflowError

_EPILOG = """examples:
  twinflow demo                       train on scikit-learn's handwritten digits (under a minute)
  twinflow demo --data ~/mnist        the same on MNIST's IDX files
  twinflow doctor                     what this installation has, and what it lacks
"""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="twinflow",
        description="twinflow: deep learning in PyTorch's and in Keras's style.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="train a network on real handwritten digits and draw what it learned",
        description="Train a convolutional network on handwritten digits, judge it on digits it has not seen, save it, load it back, "
        "and draw learning curves, a confusion matrix and sample predictions.",
    )
    demo.add_argument(
        "--data",
        metavar="DIR",
        help="train on MNIST's IDX files (gzipped or not) in DIR instead of scikit-learn's digits",
    )
    demo.add_argument(
        "--out", metavar="DIR", default="runs/demo", help="where the model and the picture go (default: %(default)s)"
    )
    demo.add_argument(
        "--epochs", type=_positive, metavar="N", help="how often to go through the data (default: 12; 4 for MNIST)"
    )
    demo.add_argument(
        "--batch-size", type=_positive, default=None, metavar="N", help="images a step (default: 32; 128 for MNIST)"
    )
    demo.add_argument(
        "--lr",
        type=float,
        default=2e-3,
        metavar="RATE",
        help="learning rate of Adam at the start (default: %(default)s)",
    )
    demo.add_argument(
        "--seed", type=int, default=0, metavar="N", help="makes the run repeatable (default: %(default)s)"
    )
    demo.add_argument("--eager", action="store_true", help="run operation by operation instead of compiling the step")

    commands.add_parser(
        "doctor",
        help="say what this installation has, what it lacks, and how to get it",
        description="Versions, the processor's features, threads, devices, the kernel cache, and optional packages.",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "demo":
            from twinflow.cli._demo import demo  # each command imports only what it needs

            demo(options)
        else:
            from twinflow.cli._doctor import doctor

            doctor()
    except TwinflowError as error:
        print(f"twinflow {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
