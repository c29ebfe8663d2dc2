"""``python -m reconciler.controlplane`` is ``reconciler controlplane``."""

import sys

from reconciler.controlplane.cli import main

sys.exit(main())
