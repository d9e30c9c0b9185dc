"""The command `twinflow`."""

from twinflow.cli._main import main as main
