"""``python -m studio`` and the console script ``studio``."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name the terminal cannot show must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from studio.cli import run
    except KeyboardInterrupt:  # Ctrl-C before the command line can handle it
        sys.stderr.write("error: Stopped\n")
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
