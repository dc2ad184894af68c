from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Site:
    """Files on a local server: `site.files["a.tar"] = b"..."`, `site.url("a.tar")`.

    Attributes:
        asked: the Range header of every request, "" for none.
        cut: bytes after which the next answer's connection is dropped.
        ranges: whether the server can send a part.
    """

    def __init__(self):
        self.files, self.asked, self.cut, self.ranges, self.port = {}, [], None, True, 0

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def running():
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range", "")
            site.asked.append(wanted)
            body = site.files.get(self.path.strip("/"))
            if body is None:
                self.send_error(404)
                return
            mark = f'"{hashlib.md5(body).hexdigest()}"'
            start = 0
            if wanted and site.ranges and self.headers.get("If-Range", mark) == mark:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
            self.send_response(206 if start else 200)
            if site.ranges:
                self.send_header("ETag", mark)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            cut, site.cut = site.cut, None
            self.wfile.write(body[start : None if cut is None else start + cut])

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def site(running):
    running.files, running.asked, running.cut, running.ranges = {}, [], None, True
    return running


@pytest.fixture
def pack():
    """Make a tar file: `pack({"name": b"..."})`; a value that is a TarInfo is put in as it is."""

    def make(members, mode="w"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as file:
            for name, content in members.items():
                if isinstance(content, tarfile.TarInfo):
                    file.addfile(content)
                    continue
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return make
