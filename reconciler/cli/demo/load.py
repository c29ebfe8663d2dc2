"""Requests that go on while models are switched; every failure counts."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field

REQUEST_TIMEOUT_SECONDS = 20
PAUSE_SECONDS = 0.25


@dataclass
class Load:
    """One client in a loop against ``/v1/completions``."""

    url: str
    model: str
    prompts: tuple[str, ...]
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)
    """Answers by the generation that gave them."""

    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin asking."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop asking and wait for the request in flight."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(REQUEST_TIMEOUT_SECONDS + 1)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            prompt = self.prompts[self.requests % len(self.prompts)]
            self.requests += 1
            try:
                generation = self._ask(prompt)
            except (OSError, ValueError, KeyError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            else:
                count = self.generations.get(generation, 0)
                self.generations[generation] = count + 1

    def _ask(self, prompt: str) -> str:
        body = {"model": self.model, "prompt": prompt, "max_tokens": 24}
        request = urllib.request.Request(  # noqa: S310 - our own http URL
            f"{self.url}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(  # noqa: S310
            request, timeout=REQUEST_TIMEOUT_SECONDS
        ) as response:
            answer = json.load(response)
        if not answer["choices"]:
            msg = "an answer without choices"
            raise ValueError(msg)
        fingerprint: str = answer["system_fingerprint"]
        return fingerprint.rpartition("@")[2]
