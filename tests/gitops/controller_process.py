"""``python -m tests.gitops.controller_process KUBECONFIG STATE``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.gitops.follower import controllers


async def main() -> None:
    async with controllers(Path(sys.argv[1]), Path(sys.argv[2])):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
