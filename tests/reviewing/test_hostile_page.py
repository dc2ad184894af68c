"""Pages of strangers, in a real browser, neither read nor write labels of the local server."""

from __future__ import annotations

import http.server
import json
import threading

from reviewing.pages import SHOWN, page_of, said


class Hostile(http.server.BaseHTTPRequestHandler):
    """A page of somebody else's on the same machine."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>hostile</title>")

    def log_message(self, *args):
        pass


def test_a_hostile_page_that_even_knows_the_address_reads_and_writes_nothing(browser, runs, serve):
    page = page_of(runs / "flat")
    address, name = serve(page), page.names[0]
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    browser.open(f"http://127.0.0.1:{other.server_port}/")
    body = json.dumps({name: {"label": "copy", "seconds": 1, "at": 1}})
    for how in (
        {},
        {"method": "POST", "body": body, "headers": {"Content-Type": "application/json"}},
        {"method": "POST", "body": body, "mode": "no-cors"},
    ):
        browser.evaluate(
            f"window.got = ''; fetch('{address}labels', {json.dumps(how)})"
            ".then(r => r.text()).then(t => { window.got = t || 'empty'; },"
            "e => { window.got = 'refused'; })"
        )
        browser.expect("window.got === 'refused' || window.got === 'empty'", True)
    browser.evaluate(
        f"const f = document.createElement('iframe'); f.src = '{address}';"
        "f.onload = () => { try { window.seen = f.contentDocument.title; }"
        "catch (e) { window.seen = 'refused'; } if (!f.contentDocument) window.seen = 'refused'; };"
        "document.body.append(f)"
    )
    browser.expect("window.seen", "refused")
    browser.evaluate(  # a page without an origin
        "window.got = ''; window.onmessage = e => { window.got = e.data; };"
        "const g = document.createElement('iframe'); g.sandbox = 'allow-scripts';"
        f"g.srcdoc = `<script>fetch('{address}labels').then(r => r.text()).then("
        "t => parent.postMessage('read', '*'), e => parent.postMessage('refused', '*'))</script>`;"
        "document.body.append(g)"
    )
    browser.expect("window.got", "refused")
    browser.evaluate(  # what another site may include without asking
        "window.got = ''; const s = document.createElement('script');"
        f"s.src = '{address}labels'; s.onload = () => {{ window.got = 'read'; }};"
        "s.onerror = () => { window.got = 'refused'; }; document.body.append(s)"
    )
    browser.expect("window.got", "refused")
    for where in ("labels", "end"):
        browser.evaluate(  # a form needs no leave of the other site
            "{ window.sent = false; const i = document.createElement('iframe'); i.name = 'there';"
            "document.body.append(i); i.onload = () => { window.sent = true; };"
            "const w = document.createElement('form'); w.method = 'post'; w.target = 'there';"
            f"w.enctype = 'text/plain'; w.action = '{address}{where}';"
            f"const n = document.createElement('input'); n.name = {json.dumps(body)};"
            "w.append(n); document.body.append(w); w.submit(); }"
        )
        browser.expect("window.sent", True)
    other.shutdown()
    other.server_close()
    assert said(page) == [None] * 12
    browser.open(address)  # the reading has not been ended
    browser.expect(SHOWN, True)


def test_a_name_that_is_pointed_to_this_machine_reads_and_writes_nothing(
    start_browser, runs, serve
):
    rebound = start_browser("--host-resolver-rules=MAP evil.test 127.0.0.1")
    page = page_of(runs / "flat")
    evil = serve(page).replace("127.0.0.1", "evil.test")
    body = json.dumps({page.names[0]: {"label": "copy", "seconds": 1, "at": 1}})
    how = {"method": "POST", "body": body, "headers": {"Content-Type": "application/json"}}
    rebound.open(evil)
    assert rebound.evaluate("document.body.innerText").strip() == "403"
    for options in ({}, how):  # of its own origin, for all that the browser knows
        rebound.evaluate(
            f"window.got = 0; fetch('labels', {json.dumps(options)})"
            ".then(r => { window.got = r.status; })"
        )
        rebound.expect("window.got", 403)
    assert said(page) == [None] * 12
