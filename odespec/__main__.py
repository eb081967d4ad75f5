"""``python -m odespec``."""

import sys

from odespec.cli import main

if __name__ == "__main__":
    sys.exit(main())
