"""The EvaluationSuite controller: observe judgements, report them.

Who judged what is known to the layer above, so that the source of the
judgements and what to watch for them are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from reconciler.engine.controller import Context, Objects, Role, Watch
from reconciler.engine.plan import Action, Plan
from reconciler.evaluation import plan as planning
from reconciler.evaluation.plan import Observed
from reconciler.evaluation.resource import EvaluationSuite, SuiteReport

JudgementSource = Callable[[Objects, str, str], Sequence[SuiteReport]]
"""``source(objects, namespace, suite)``: judgements made by that suite."""


class EvaluationSuiteController:
    """Keeps the status of suites current. It has no effects.

    Args:
        reports: where judgements are found; from memory, without I/O.
        watches: changes of which objects concern which suites.
    """

    kind = EvaluationSuite
    role: Role = "controller"
    finalizer = False

    def __init__(
        self, reports: JudgementSource, watches: Sequence[Watch] = ()
    ) -> None:
        self._reports = reports
        self.watches: Sequence[Watch] = tuple(watches)

    async def observe(
        self, ctx: Context, desired: EvaluationSuite
    ) -> Observed:
        """Collect the judgements made by this suite."""
        meta = desired.metadata
        found = self._reports(ctx.objects, meta.namespace, meta.name)
        return Observed(tuple(found))

    def plan(
        self, desired: EvaluationSuite, observed: Observed, now: datetime
    ) -> Plan[Any]:
        """See `reconciler.evaluation.plan.plan`."""
        return planning.plan(desired, observed, now)

    async def act(
        self, ctx: Context, desired: EvaluationSuite, action: Action
    ) -> None:
        """Refuse: the plan of a suite never has actions.

        Raises:
            TypeError: always.
        """
        del ctx, desired
        msg = f"an EvaluationSuite has no action {action.describe()}"
        raise TypeError(msg)
