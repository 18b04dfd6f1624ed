"""``studio`` with the tiny kinds registered."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import tiny_kind  # noqa: E402, F401

from studio.__main__ import main  # noqa: E402

if __name__ == "__main__":
    main()
