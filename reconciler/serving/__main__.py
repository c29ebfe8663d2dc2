"""``python -m reconciler.serving <run directory>``: the convert stage."""

from __future__ import annotations

import sys

from reconciler.runs.supervisor import main
from reconciler.serving.convert import convert

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], convert))
