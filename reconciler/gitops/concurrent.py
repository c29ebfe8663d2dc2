"""Several requests to the API server at the same time, and their failures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from reconciler.engine.controller import TransientError
from reconciler.engine.errors import InvalidError, UnavailableError

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8
"""Requests under way at the same time."""


async def each(
    work: Callable[[T], Awaitable[R]], items: Sequence[T]
) -> list[R]:
    """The results in the order of the items.

    After a failure nothing more is begun, and what is under way is awaited:
    no request outlives the pass, and of many failures the same one is told
    each time.

    Raises:
        Exception: the failure of the first item that failed.
    """
    results: dict[int, R] = {}
    failures: dict[int, Exception] = {}
    left = iter(enumerate(items))

    async def worker() -> None:
        for index, item in left:
            try:
                results[index] = await work(item)
            except Exception as error:  # noqa: BLE001 - raised below
                failures[index] = error
            if failures:
                return

    await asyncio.gather(*(worker() for _ in range(min(AT_ONCE, len(items)))))
    if failures:
        raise failures[min(failures)]
    return [results[index] for index in range(len(items))]


@contextlib.contextmanager
def about(what: str) -> Iterator[None]:
    """Have a failure that passes say what was asked for.

    It is one of the server and not of the ConfigRepository: so that it is
    never taken for a conflict about that, and tried again soon.

    Raises:
        UnavailableError: in place of another failure that passes.
    """
    try:
        yield
    except TransientError as error:
        msg = f"{what}: {error}"
        raise UnavailableError(msg) from error


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Like `about`; a refusal to read is no reason to give up for ever.

    Raises:
        UnavailableError: in place of any other failure.
    """
    with about(what):
        try:
            yield
        except InvalidError as error:
            raise UnavailableError(str(error)) from error
