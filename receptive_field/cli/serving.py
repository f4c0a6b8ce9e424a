"""Serves the web page on this machine, for ``receptive-field serve``."""

from __future__ import annotations

import os
import secrets
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from receptive_field.errors import ReceptiveFieldError

ADDRESS = "127.0.0.1"


def site_in(folder: str) -> Path:
    """Returns the folder of the site.

    Raises:
      ReceptiveFieldError: if the folder holds no site.
    """
    site = Path(folder)
    if (site / "index.html").is_file() and (site / "packages.zip").is_file():
        return site
    raise ReceptiveFieldError(
        f"{folder!r} does not hold the web page, which the package does not contain, "
        "because it includes a Python for the browser. Build it in a copy of the "
        "repository (python scripts/build_web.py -o site; needs Node.js), and give "
        "its folder: --site FOLDER. receptive-field explore MODEL -o page.html writes "
        "a page that needs no site."
    )


def model_file(model: str) -> Path:
    """Returns the file of a model: itself, or what a SavedModel's folder contains.

    Raises:
      ReceptiveFieldError: if there is no such file.
    """
    path = Path(model)
    found = path / "saved_model.pb" if path.is_dir() else path
    if found.is_file():
        return found
    raise ReceptiveFieldError(
        f"there is no file {str(found)!r}. The page reads files; for a model that code "
        "makes, use receptive-field explore MODEL -o page.html."
    )


class Server(ThreadingHTTPServer):
    """Serves the site, and the file of a model, to this machine only.

    Args:
      site: the folder of the site.
      model: the file that the page opens, or None.
      port: the port; 0 for any that is free.

    Raises:
      ReceptiveFieldError: if the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, site: Path, model: Path | None = None, port: int = 0) -> None:
        self.model = model
        # Other users of the machine can reach the port, but cannot guess the path.
        self.model_path = ""
        if model is not None:
            self.model_path = f"/model-{secrets.token_urlsafe()}/{model.name}"
        try:
            super().__init__((ADDRESS, port), partial(_Handler, directory=str(site)))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ReceptiveFieldError(
                f"port {port} cannot be used: {reason}. Give another one, or leave out "
                "--port."
            ) from None

    @property
    def url(self) -> str:
        """The address of the page, which opens the model."""
        model = f"&model={quote(self.model_path[1:])}" if self.model_path else ""
        return f"http://{ADDRESS}:{self.server_port}/?served{model}"


class _Handler(SimpleHTTPRequestHandler):
    server: Server
    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        **dict.fromkeys((".js", ".mjs"), "text/javascript"),
        ".wasm": "application/wasm",
    }

    def send_head(self) -> Any:
        """Sends the headers, and returns the file whose contents follow."""
        port = self.server.server_port
        if self.headers["Host"] not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
            # A page elsewhere may have a name that leads to this machine.
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        if unquote(urlsplit(self.path).path) != self.server.model_path:
            return super().send_head()
        return self._send_model()

    def _send_model(self) -> BinaryIO | None:
        assert self.server.model is not None
        try:
            file = self.server.model.open("rb")
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
        self.end_headers()
        return file

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """Lists nothing."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Ends the headers, after those that all answers have."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing."""
