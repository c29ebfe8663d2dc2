"""What the controller of a Model calls to get a version served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.engine.plan import Action
from reconciler.serving.deployment_plan import (
    Ask,
    Seen,
    StartServer,
    Withdraw,
)
from reconciler.serving.documents import Desired, Observed
from reconciler.serving.process import ServerProcess


@dataclass(frozen=True)
class Deployment:
    """The serving process as a place to deploy to.

    Every call is short, except `carry_out` of StartServer, which waits for
    the process to answer; call it from a thread.
    """

    process: ServerProcess

    def desired(
        self, model: str, path: Path, generation: str, digest: str, device: str
    ) -> Desired:
        """Ask for a version; idempotent.

        Raises:
            OSError: the directory does not exist, or the file cannot be
                written.
        """
        wanted = wanted_version(model, path, generation, digest, device)
        self.process.files.write_desired(wanted)
        return wanted

    def withdraw(self, model: str) -> None:
        """Ask for the model not to be served any more; idempotent."""
        self.process.files.remove_desired(model)

    def observed(self, model: str) -> Observed | None:
        """What the process last said of a model.

        It stays when the process dies: ask `ServerProcess.info` who lives.
        """
        return self.process.files.observed(model)

    def seen(self, model: str) -> Seen:
        """What is there, for `plan_deployment`."""
        files = self.process.files
        return Seen(
            alive=self.process.info() is not None,
            asked=files.desired(model),
            observed=files.observed(model),
        )

    def carry_out(self, action: Action) -> None:
        """Carry out one action of a plan.

        Raises:
            ServerStartError: the process does not come up.
            OSError: a file cannot be written.
            TypeError: not an action of `plan_deployment`.
        """
        match action:
            case StartServer():
                self.process.ensure()
            case Ask(desired=wanted):
                self.process.files.write_desired(wanted)
            case Withdraw(model=model):
                self.withdraw(model)
            case _:
                msg = f"not an action of a deployment: {action.describe()}"
                raise TypeError(msg)


def wanted_version(
    model: str, path: Path, generation: str, digest: str, device: str
) -> Desired:
    """A version to ask for, with the links of its path resolved once.

    Raises:
        OSError: the directory does not exist.
    """
    return Desired(
        model=model,
        path=str(path.resolve(strict=True)),
        generation=generation,
        digest=digest,
        device=device,
    )
