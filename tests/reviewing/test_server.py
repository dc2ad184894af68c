"""The local server lets nobody in but its own page, and two readers at once lose nothing."""

from __future__ import annotations

import http.client
import json
import logging
import re
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np
import pytest
from tornado.log import app_log

from memtk.errors import UserError
from memtk.reviewing import (
    Reading,
    ReadingPage,
    all_labels,
    open_draw,
    open_set,
    read_labels,
    save,
)
from memtk.reviewing.server import ReadingServer


@pytest.fixture
def page(runs):
    reviewed = open_set(runs / "flat")
    draw = open_draw(reviewed, {"pairs": 8, "controls": 2})
    return ReadingPage(reviewed, draw, read_labels(reviewed.folder, draw, "anna"))


@pytest.fixture
def server(page):
    server, ready = ReadingServer(page), threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda address: ready.set(),))
    thread.start()
    assert ready.wait(20)
    yield server
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


def ask(server, path="", method="GET", body=None, **headers):
    """Ask the server; None as a header leaves it out. Returns status, headers and body."""
    place = urlsplit(server.address)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=20)
    sent = {"Host": place.netloc}
    if method == "POST":
        sent |= {"Origin": f"http://{place.netloc}", "Content-Type": "application/json"}
    sent |= {key.replace("_", "-"): value for key, value in headers.items()}
    where = path if path.startswith("/") else place.path + path
    connection.putrequest(method, where, skip_host=True)
    for key, value in sent.items():
        if value is not None:
            connection.putheader(key, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def said(name, label="copy"):
    return json.dumps({name: {"label": label, "seconds": 1.0, "at": 2e9}}).encode()


def test_the_page_the_pairs_and_the_labels_are_there_for_who_knows_the_address(server, page):
    assert ask(server)[0] == 200 and b"Novel or copy?" in ask(server)[2]
    name = page.names[0]
    status, headers, voxels = ask(server, f"pair/{name}")
    assert status == 200 and voxels == page.voxels(name)
    assert ask(server, "labels", "POST", said(name))[0] == 204
    assert json.loads(ask(server, "labels")[2])["labels"][name]["label"] == "copy"
    assert ask(server, Host=f"localhost:{server.port}")[0] == 200


def test_who_merely_looks_at_the_page_is_no_reader(server, page):
    assert ask(server)[0] == 200 and ask(server, "labels")[0] == 200
    reviewed = page.reviewed
    assert not list(reviewed.folder.glob("labels-*")) and not all_labels(reviewed.folder, page.draw)
    path = reviewed.folder / "labels-0123456789ab.json"
    path.write_text(page.labels.model_dump_json())  # a file without a label is none either
    assert not all_labels(reviewed.folder, page.draw)
    assert len(open_draw(reviewed, {"pairs": 7}).drawn) == 7


def test_whoever_comes_from_elsewhere_is_refused_and_changes_nothing(server, page):
    name = page.names[0]
    for status, path, how in (
        (404, "/", {}),
        (404, "/labels", {}),
        (404, f"/{'x' * 43}/", {}),
        (404, f"/{'x' * 43}/labels", {"method": "POST", "body": said(name)}),
        (403, "", {"Host": "evil.example"}),
        (403, "", {"Host": f"evil.example:{server.port}"}),
        (403, "labels", {"Host": "127.0.0.1"}),
        (403, "labels", {"Origin": "http://evil.example"}),
        (403, "labels", {"Sec_Fetch_Site": "cross-site"}),
        (403, "labels", {"Sec_Fetch_Site": "same-site"}),
        (403, "labels", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document"}),
        (403, "", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "iframe"}),
        (403, "", {"Sec_Fetch_Site": "cross-site"}),
        (403, "labels", {"method": "POST", "body": said(name), "Origin": "http://evil.example"}),
        (403, "labels", {"method": "POST", "body": said(name), "Origin": "null"}),
        (403, "labels", {"method": "POST", "body": said(name), "Origin": None}),
        (403, "labels", {"method": "POST", "body": said(name), "Origin": "http://127.0.0.1:1"}),
        (415, "labels", {"method": "POST", "body": said(name), "Content_Type": "text/plain"}),
        (403, "labels", {"method": "OPTIONS", "Origin": "http://evil.example"}),
        (403, "end", {"method": "POST", "body": b"{}", "Origin": "http://evil.example"}),
        (400, "labels", {"method": "POST", "body": said("0" * 12)}),
        (400, "labels", {"method": "POST", "body": said(name, "maybe")}),
        (400, "labels", {"method": "POST", "body": b"[" * 5000}),
        (404, "pair/0123456789ab", {}),
        (404, "pair/../labels", {}),
    ):
        found, headers, body = ask(server, path, **how)
        assert found == status, (found, path, how)
        assert not [key for key in headers if key.lower().startswith("access-control")]
        assert name.encode() not in body
    assert not read_labels(page.reviewed.folder, page.draw, "anna").labels


def test_answers_are_kept_by_nobody_and_framed_by_no_page(server):
    headers = ask(server)[1]
    assert headers["Cache-Control"] == "no-store" and headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert "Server" not in headers


def test_a_link_of_another_page_leads_to_the_reading_and_not_out_of_it(server):
    status, headers, _ = ask(server, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")
    assert status == 200 and headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_request_that_is_too_large_is_cut_off(server, page):
    with pytest.raises((AssertionError, OSError, http.client.HTTPException)):
        status = ask(server, "labels", "POST", b"x" * 2_000_000)[0]
        assert status == 204
    assert ask(server)[0] == 200


def test_black_and_white_are_chosen_by_few_voxels_of_large_images(page, monkeypatch):
    whole, again = page.windows, ReadingPage(page.reviewed, page.draw, page.labels)
    sides = [side for pair in page.draw.pairs for side in page.reviewed.read(pair)]
    ends = (np.percentile(sides, (0.5, 99.5)) + 1) / 2 * 65535
    assert np.abs(whole - ends).max() <= 1 and len(whole) == 2  # of the channel, and of all
    monkeypatch.setattr("memtk.reviewing.server.SEEN", 700)  # of 24 times 256
    assert again.windows != whole
    assert np.abs(np.subtract(again.windows, whole)).max() < 0.03 * 65535


def test_a_port_that_is_taken_is_refused(server, page):
    with pytest.raises(UserError, match="name another with --port"):
        ReadingServer(page, server.port)


def test_two_readers_at_once_and_one_in_two_places_lose_nothing(page):
    names, folder, draw = page.names, page.reviewed.folder, page.draw

    def read(reader, mine):
        for name in mine:
            save(folder, draw, reader, {name: Reading(label="copy")})

    threads = [
        threading.Thread(target=read, args=(reader, part))
        for reader in ("anna", "ben")
        for part in (names[::2], names[1::2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for reader in ("anna", "ben"):
        assert set(read_labels(folder, draw, reader).labels) == set(names)


def raw(server, start, *headers, body=b""):
    """Send what no browser sends, and return the first line of the answer, if there is one."""
    place = urlsplit(server.address)
    host = f"Host: {place.netloc}"
    kind = "Content-Type: application/json"
    own = (host, f"Origin: http://{place.netloc}", *headers)
    own = own if any(h.startswith("Content-Type") for h in headers) else (*own, kind)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        text = "\r\n".join([start.replace("TOKEN", place.path.strip("/")), *own, "", ""])
        with suppress(OSError):  # it may have hung up on the first of it
            connection.sendall(text.encode("utf-8", "surrogateescape") + body)
            connection.shutdown(socket.SHUT_WR)
        found = b""
        with suppress(ConnectionError):
            while more := connection.recv(4096):
                found += more
    return found.split(b"\r\n")[0].decode()


ODD = {
    "a deletion": ("DELETE /TOKEN/labels HTTP/1.1",),
    "a trace": ("TRACE /TOKEN/ HTTP/1.1",),
    "a method of nobody": ("FOO /TOKEN/ HTTP/1.1",),
    "a proxy": ("CONNECT host:443 HTTP/1.1",),
    "no HTTP": ("hello",),
    "a token that is no text": ("GET /%ff%fe/ HTTP/1.1",),
    "half of a character": ("GET /%ed%a0%80/ HTTP/1.1",),
    "a pair of a null byte": ("GET /TOKEN/pair/%00 HTTP/1.1",),
    "a path upwards": ("GET /TOKEN/../../etc/passwd HTTP/1.1",),
    "a length below zero": ("POST /TOKEN/labels HTTP/1.1", "Content-Length: -5"),
    "two lengths": ("POST /TOKEN/labels HTTP/1.1", "Content-Length: 2", "Content-Length: 3"),
    "a length of gigabytes": ("POST /TOKEN/labels HTTP/1.1", "Content-Length: 99999999999"),
    "a body that never comes": ("POST /TOKEN/labels HTTP/1.1", "Content-Length: 100"),
    "a chunk of gigabytes": ("POST /TOKEN/labels HTTP/1.1", "Transfer-Encoding: chunked"),
    "a form": ("POST /TOKEN/labels HTTP/1.1",
               "Content-Type: multipart/form-data; boundary=x", "Content-Length: 5"),
    "a header of 200,000 letters": ("GET /TOKEN/ HTTP/1.1", "X: " + "a" * 200_000),
}  # fmt: skip


@pytest.fixture
def told():
    """What the server logs, wherever that goes."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    app_log.addHandler(handler)
    yield records
    app_log.removeHandler(handler)


@pytest.mark.parametrize("odd", ODD)
def test_what_no_browser_sends_changes_nothing_and_puts_no_token_on_the_terminal(
    server, page, odd, capfd, told
):
    answer = raw(server, *ODD[odd], body=b"FFFFFFF\r\n--x\r\n")
    assert answer == "" or re.match(r"HTTP/1.1 4\d\d ", answer)
    token = urlsplit(server.address).path.strip("/")
    assert token not in "".join([*capfd.readouterr(), *(each.getMessage() for each in told)])
    assert ask(server)[0] == 200
    assert not read_labels(page.reviewed.folder, page.draw, "anna").labels


@pytest.mark.parametrize("content", ["{", "[]", "\0", '{"schema_version": 99}', None])
def test_labels_that_somebody_damages_while_they_are_read_are_said(server, page, content, told):
    ask(server, "labels", "POST", said(page.names[0]))
    (path,) = page.reviewed.folder.glob("labels-*.json")
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    status, _, body = ask(server, "labels")
    assert ask(server, "labels", "POST", said(page.names[1]))[0] >= 400
    assert status == 500 and body == b"500\n"
    end = time.monotonic() + 20
    while not told and time.monotonic() < end:  # it is said after the answer
        time.sleep(0.01)
    assert told and not any(each.exc_info for each in told)
    assert path.name in told[0].getMessage() and server.address not in told[0].getMessage()
