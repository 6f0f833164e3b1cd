"""Nothing but the page's own files and the store's data leaves the server, and only to those who may see it."""

from __future__ import annotations

import http.client
import socket
import time
from importlib.resources import files
from urllib.parse import urlsplit

import pytest
import requests

from ecgqa.errors import EcgqaError
from ecgqa.explorer.explorer import Explorer
from ecgqa.explorer.guard import POLICY, host_name, is_loopback, is_wildcard
from ecgqa.explorer.serve import address, bind, new_token
from ecgqa.explorer.static_files import load_static
from ecgqa.explorer.uploads import MAX_BODY_BYTES
from support.served import served


def raw(server: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str):
    """A request whose path is sent as it stands; returns status, headers, body."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


SECRETS = (b"root:", b"[project]", b'"kind": "store"', b"def make_app")
PATHS = [
    "/static/../app.py",
    "/static/../../../../../../etc/passwd",
    "/static/%2e%2e/app.py",
    "/static/%2e%2e%2fapp.py",
    "/static/..%2f..%2fpyproject.toml",
    "/static/..%5capp.py",
    "/static/%252e%252e%252fapp.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/file:%2f%2f%2fetc%2fpasswd",
    "/static/main.js%00.html",
    "/static/..%c0%afapp.py",
    "/static/%ef%bc%8e%ef%bc%8e/app.py",
    "/static/",
    "/static/index.html",
    "/static/__init__.py",
    "//etc/passwd",
    "/etc/passwd",
    "/manifest.json",
    "/api/ecg/..%2f..%2fmanifest.json",
    "/api/ecg/%2e%2e/signal",
    "/api/ecg/0%00/signal",
    "/api/ecg/%d9%a3/signal",
    "/api/question/..%2f..%2f/template/1",
    "/question/..%2f..%2fetc%2fpasswd",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_to_a_file(server: str, path: str) -> None:
    status, headers, body = raw(server, path)
    assert status in (400, 404, 405), (path, status)
    assert not any(secret in body for secret in SECRETS)
    if status == 404:  # a request that is no HTTP is refused before our code sees it
        assert headers["Content-Security-Policy"] == POLICY


def test_a_link_in_the_folder_is_no_way_out() -> None:
    # The list is read once from the package; what a request names is looked up there and nowhere else.
    names = {entry.name for entry in files("ecgqa.explorer").joinpath("static").iterdir()}
    assert set(load_static()) == names and "index.html" in names


def test_every_answer_carries_the_policy(server: str) -> None:
    for path in ("/", "/results", "/static/main.js", "/api/overview", "/api/ecg/0/signal", "/api/nothing", "/nowhere"):
        _, headers, _ = raw(server, path)
        assert headers["Content-Security-Policy"] == POLICY, path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY


def test_the_page_has_nothing_inline() -> None:
    html = load_static()["index.html"].content.decode()
    assert "style=" not in html and "onclick=" not in html and "<style" not in html
    assert html.count("<script") == html.count('<script type="module" src="/static/main.js"></script>') == 1
    for name, file in load_static().items():
        text = file.content.decode()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text, name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in text, (name, word)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1].evil", "a:b:c"]
)
def test_another_host_name_is_refused(server: str, host: str) -> None:
    """A page elsewhere that lets its own name point to this machine gets nothing."""
    status, _, body = raw(server, "/api/overview", Host=host)
    assert status in (400, 421)
    assert b"n_questions" not in body


def test_host_names() -> None:
    assert [host_name(text) for text in ("LocalHost:80", "127.0.0.1", "[::1]:8642", "localhost.", "x:y")] == [
        "localhost", "127.0.0.1", "::1", "localhost", "",
    ]  # fmt: skip
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "192.168.1.4", "example.org", "::")] == [False] * 4
    assert [is_wildcard(host) for host in ("0.0.0.0", "::", "", "127.0.0.1")] == [True, True, True, False]


def test_other_hosts_need_a_token() -> None:
    assert new_token("127.0.0.1") is None and new_token("localhost") is None
    first, second = new_token("0.0.0.0"), new_token("0.0.0.0")
    assert first and second and first != second and len(first) >= 32
    listener = bind("127.0.0.1", 0)
    assert address(listener, "127.0.0.1", first).endswith(f"/?token={first}")
    listener.close()


def test_the_token_opens_the_page_and_nothing_else_does(bare: Explorer) -> None:
    with served(bare, host="0.0.0.0", token="s3cret-token") as opened:
        server = opened.partition("?")[0].rstrip("/")
        for path, headers in (
            ("/", {}),
            ("/api/overview", {}),
            ("/static/main.js", {}),
            ("/?token=wrong", {}),
            ("/?token=", {}),
            ("/api/overview", {"Cookie": "ecgqa-00000000=s3cret-token"}),
            ("/api/overview", {"Cookie": 'x="'}),
        ):
            status, _, body = raw(server, path, **headers)
            assert (status, b"n_questions" in body) == (401, False), path
        session = requests.Session()
        answer = session.get(opened, timeout=20)
        assert answer.status_code == 200 and answer.url == f"{server}/"  # the token does not stay in the address
        cookie = answer.history[0].headers["Set-Cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie
        assert session.get(f"{server}/api/overview", timeout=20).status_code == 200
        status, headers, _ = raw(server, "//evil.example/?token=s3cret-token&split=test")
        assert status == 303 and headers["Location"] == "/evil.example/?split=test"


def test_pages_of_other_origins_cannot_post(server: str) -> None:
    body = b'{"question": "x", "ecgs": [0]}'
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert raw(server, "/api/ask", "POST", body, **headers)[0] == 403
    own = {"Origin": server, "Sec_Fetch_Site": "same-origin"}
    assert raw(server, "/api/ask", "POST", body, **own)[0] == 422
    assert raw(server, "/api/overview", "DELETE")[0] == 405


def test_too_much_is_refused(server: str) -> None:
    assert raw(server, "/api/overview?x=" + "y" * 20_000)[0] == 414
    assert raw(server, "/api/upload", "POST", b"x", Content_Length=str(MAX_BODY_BYTES + 1))[0] == 413
    assert raw(server, "/api/ask", "POST", b"[" * 100_000)[0] == 422
    assert requests.get(f"{server}/api/overview", timeout=20).ok


def test_a_body_without_a_length_is_counted(server: str) -> None:
    chunk = b"x" * (1 << 20)

    def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range((MAX_BODY_BYTES >> 20) + 8):
            yield chunk

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    try:
        status = requests.post(f"{server}/api/upload", data=endless(), headers=kind, timeout=60).status_code
    except requests.ConnectionError:  # the server closes while we still send
        status = 413
    assert status == 413
    assert requests.get(f"{server}/api/overview", timeout=20).ok


def test_a_slow_visitor_does_not_stop_the_others(server: str) -> None:
    parts = urlsplit(server)
    slow = [socket.create_connection((parts.hostname, parts.port)) for _ in range(40)]
    for one in slow:
        one.sendall(b"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nx")
    started = time.monotonic()
    assert requests.get(f"{server}/api/questions", timeout=20).ok
    assert time.monotonic() - started < 10
    for one in slow:
        one.close()


def test_an_address_that_is_taken_is_told(server: str) -> None:
    with pytest.raises(EcgqaError, match="cannot be served") as told:
        bind("127.0.0.1", int(server.rpartition(":")[2]))
    assert "--port 0" in str(told.value)
    for host, port in (("127.0.0.1", 70_000), ("no.such.host.invalid", 0)):
        with pytest.raises(EcgqaError):
            bind(host, port)
