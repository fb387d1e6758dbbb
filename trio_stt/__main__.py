"""`python -m trio_stt`: the command line."""

import sys

from trio_stt.cli import main

if __name__ == "__main__":
    sys.exit(main())
