"""Models that several indexes of a process use: each in memory once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

M = TypeVar("M")


class SharedModels(Generic[M]):
    """Keeps a model as long as anybody uses it; any thread may ask.

    Whoever asks for one that is being loaded waits for that; models of other
    keys are loaded meanwhile.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turns: dict[Hashable, threading.Lock] = {}
        self._kept: WeakValueDictionary[Hashable, M] = WeakValueDictionary()

    def get(
        self,
        key: Hashable,
        load: Callable[[], M],
        fits: Callable[[M], bool] = lambda _: True,
    ) -> M:
        """The model of a key.

        Args:
            key: what it is loaded from, and onto which device.
            load: loads it; what it raises is raised.
            fits: whether a model that was loaded before may still be used.
        """
        with self._guard:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            found = self._kept.get(key)
            if found is not None and fits(found):
                return found
            made = load()
            self._kept[key] = made
            return made
