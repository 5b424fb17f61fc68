"""A headless Chromium driven over the DevTools protocol with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Page:
    """One tab.

    Args:
        socket: to the tab's DevTools, after the handshake.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its result; what happens meanwhile goes into `events`."""
        self._number += 1
        self._send(json.dumps({"id": self._number, "method": method, "params": params}).encode())
        while True:
            message = json.loads(self._receive())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise; an exception in it is an error here."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> None:
        """Until an expression holds."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"never held: {script}"
            time.sleep(0.05)

    def open(self, path: Path) -> None:
        """Load a file, and wait until it is loaded."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(path.resolve().as_uri())}", 60)

    def key(self, name: str) -> None:
        """Press and release a key: `y`, `ArrowLeft`, `Tab`, `Enter`."""
        codes = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, " ": 32}
        text = {"Enter": "\r"}.get(name, name if len(name) == 1 else "")
        given = {"key": name, "windowsVirtualKeyCode": codes.get(name, ord(name[0].upper()))}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def click(self, selector: str) -> None:
        """Click with the mouse on the middle of an element, once it has stopped moving."""
        at = self.run(
            f"(async () => {{ const e = document.querySelector({json.dumps(selector)});"
            " const frame = () => new Promise((done) => requestAnimationFrame(done));"
            " for (let before = '', at; ; before = String(at)) {"
            " e.scrollIntoView({block: 'center', behavior: 'instant'}); await frame(); await frame();"
            " const r = e.getBoundingClientRect(); at = [r.x + r.width / 2, r.y + r.height / 2];"
            " if (String(at) === before) return at; } })()"
        )
        where = {"x": at[0], "y": at[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def view(self, width: int, height: int, *, dark: bool = False) -> None:
        """Size and colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """What is in sight, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed."""
        printed = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(printed["data"]))

    def _send(self, data: bytes) -> None:
        n = len(data)
        length = (
            struct.pack("!B", 0x80 | n)
            if n < 126
            else struct.pack("!BH", 0xFE, n)
            if n < 65536
            else struct.pack("!BQ", 0xFF, n)
        )
        # Clients must mask; a mask of zeros leaves the data as it is.
        self._socket.sendall(b"\x81" + length + bytes(4) + data)

    def _receive(self) -> bytes:
        whole = b""
        while True:
            first, second = self._exactly(2)
            n = second & 0x7F
            if n >= 126:
                (n,) = struct.unpack("!H" if n == 126 else "!Q", self._exactly(2 if n == 126 else 8))
            data = self._exactly(n)
            if first & 0x0F in (0, 1, 2):
                whole += data
                if first & 0x80:
                    return whole

    def _exactly(self, n: int) -> bytes:
        while len(self._buffer) < n:
            part = self._socket.recv(1 << 20)
            assert part, "the browser closed the connection"
            self._buffer += part
        found, self._buffer = self._buffer[:n], self._buffer[n:]
        return found


@contextmanager
def chromium(home: Path) -> Iterator[Page]:
    """A browser with one tab; skips the test where there is none.

    Args:
        home: empty folder for its profile and downloads.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    profile = home / "profile"
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home)},
    )
    page = None
    try:
        page = _connected(profile, home)
        yield page
    finally:
        if page is not None:
            page.close()
        process.terminate()
        process.wait(30)


def _connected(profile: Path, home: Path) -> Page:
    ready = profile / "DevToolsActivePort"
    end = time.monotonic() + 60
    while not (ready.is_file() and ready.read_text().strip()):
        assert time.monotonic() < end, "Chromium did not start"
        time.sleep(0.05)
    port = int(ready.read_text().split()[0])
    tabs: list[dict[str, Any]] = []
    while not tabs:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
            tabs = [t for t in json.load(answer) if t["type"] == "page"]
    path = tabs[0]["webSocketDebuggerUrl"].partition(f":{port}")[2]
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    page = Page(connection)
    while b"\r\n\r\n" not in page._buffer:
        page._buffer += connection.recv(4096)
    head, _, page._buffer = page._buffer.partition(b"\r\n\r\n")
    assert b" 101 " in head.split(b"\r\n")[0], head
    for domain in ("Page", "Runtime", "Log", "Network"):
        page.call(f"{domain}.enable")
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(home))
    return page
