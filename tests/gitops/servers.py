"""Real Git servers on loopback that misbehave when they are asked to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class GitServer(ThreadingHTTPServer):
    """``git http-backend`` behind a minimal CGI gateway."""

    daemon_threads = True

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self.cut_after: int | None = None
        """Bytes of a pack after which the connection is dropped."""

        self.authorization: str | None = None
        """The header that is asked for."""

        self.elsewhere: str | None = None
        """Origin that requests are sent on to."""

        self.sent: list[bytes] = []
        """What was answered, with the headers that the backend made."""

        self.asked: list[dict[str, str]] = []
        """Headers of the requests."""

        self.protocol: str | None = None
        """Version of the protocol that is spoken; None: as asked."""

        self.settings: dict[str, str] = {"http.receivepack": "true"}
        """Configuration of Git in the server."""

        super().__init__(("127.0.0.1", port), _Gateway)
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/bare.git"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(10)


class _Gateway(BaseHTTPRequestHandler):
    server: GitServer

    def do_GET(self) -> None:
        self._backend(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            self._backend(self._chunks())
            return
        size = int(self.headers.get("Content-Length", 0))
        self._backend(self.rfile.read(size))

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        return found

    def _backend(self, body: bytes) -> None:
        if self.server.elsewhere is not None:
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        wanted = self.server.authorization
        if wanted and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.asked.append(dict(self.headers))
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self._protocol(),
            **_configuration(self.server.settings),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=environment,
            capture_output=True,
            check=False,
            timeout=30,
        )
        if done.returncode != 0:
            self.close_connection = True  # as Apache does it
        self.server.sent.append(done.stdout)
        self._answer(done.stdout or _FAILED)

    def _protocol(self) -> str:
        forced = self.server.protocol
        asked: str = self.headers.get("Git-Protocol", "")
        return asked if forced is None else forced

    def _answer(self, output: bytes) -> None:
        head, _, data = output.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        found = {line[0]: line[1] for line in lines}
        self.send_response(int(found.pop("Status", "200").split()[0]))
        for name, value in found.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        cut = self.server.cut_after
        if cut is not None and b"PACK" in data:
            data = data[:cut]
            self.close_connection = True
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


_FAILED = b"Status: 500 Internal Server Error\r\n\r\n"


def _configuration(settings: dict[str, str]) -> dict[str, str]:
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings.items()):
        found[f"GIT_CONFIG_KEY_{index}"] = key
        found[f"GIT_CONFIG_VALUE_{index}"] = value
    return found


class CuttingProxy:
    """TCP before a server; drops a connection after so many bytes of it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.cut_after: int | None = None
        self.cuts = 0
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, onward = await asyncio.open_connection(
            "127.0.0.1", self._target
        )
        asking = asyncio.create_task(self._pass_on(reader, onward, None))
        try:
            await self._pass_on(there, writer, self.cut_after)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            for end in (writer, onward):
                end.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        bound: int | None,
    ) -> None:
        sent = 0
        while data := await reader.read(8192):
            if bound is not None and sent + len(data) > bound:
                self.cuts += 1
                return
            sent += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        await writer.drain()
