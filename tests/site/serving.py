"""The built site on a web server of this machine, and a browser that cannot reach another."""

from __future__ import annotations

import functools
import http.server
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.browser.devtools import Tab, browser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

#: Every name but this machine's address is unknown to the browser.
NOWHERE_ELSE: Final = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The files of a directory over HTTP; gives its address."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def reader(site: Path, profile: Path) -> AsyncIterator[tuple[Tab, str]]:
    """Somebody who reads the site in a browser, and the address of the site."""
    with served(site) as address:
        async with browser(profile, NOWHERE_ELSE) as tab:
            yield tab, address
