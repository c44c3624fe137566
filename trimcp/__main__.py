"""`python -m trimcp` is the command `trimcp`."""

import sys

from trimcp.cli import main

if __name__ == "__main__":
    sys.exit(main())
