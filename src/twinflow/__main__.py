"""`python -m twinflow`: the same as the command `twinflow`."""

import sys

from twinflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
