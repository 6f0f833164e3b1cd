"""One file against a misbehaving server: whole and verified at last, or a plain reason and nothing in its place."""

from __future__ import annotations

import errno
import gzip
import hashlib
import socket
import threading
import time
from pathlib import Path

import pytest

from ecgqa.sources import transport as module
from ecgqa.sources.catalogue import Mirror
from ecgqa.sources.partial import CannotWrite, partial_of
from ecgqa.sources.transport import CannotFetch, NotPublished, Patience, Stopped, Transport
from support.faulty_server import Fault, FaultyServer

QUICK = Patience(attempts=4, connect_s=2, silence_s=0.5, backoff_s=0.01, slow_window_s=0.3)
BODY = bytes(range(256)) * 500
BIG = b"electrocardiogram " * 120_000  # above the size from which a partial file is resumed
SHA, SHA_BIG = (hashlib.sha256(body).hexdigest() for body in (BODY, BIG))


@pytest.fixture
def server():
    with FaultyServer({"a.dat": BODY, "big.dat": BIG}) as running:
        yield running


def client(*servers: FaultyServer, **options) -> Transport:
    return Transport([Mirror(f"mirror {i}", s.url) for i, s in enumerate(servers)], patience=QUICK, **options)


def nothing_but(folder: Path, *names: str) -> bool:
    return sorted(p.name for p in folder.rglob("*") if p.is_file()) == sorted(names)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=429),
        Fault(cut=0),
        Fault(cut=1000),
        Fault(cut=70_000, reset=True),
        Fault(body=BODY[:-1] + b"x"),
        Fault(body=b"  <!DOCTYPE html><html><body>Please log in</body></html>"),
        Fault(drip_s=0.05),
        Fault(hang_s=0.8),
    ],
    ids=["500", "429", "no body", "short body", "reset", "wrong bytes", "login page", "crawl", "silence"],
)
def test_one_fault_then_good(server, tmp_path, fault):
    server.faults["a.dat"] = [fault]
    fetched = client(server).fetch("a.dat", tmp_path / "a.dat", SHA)
    assert (tmp_path / "a.dat").read_bytes() == BODY
    assert (fetched.sha256, fetched.size) == (SHA, len(BODY))
    assert server.count("a.dat") == 2
    assert nothing_but(tmp_path, "a.dat")


def test_slow_body_is_left_after_the_window(server, tmp_path):
    server.faults["a.dat"] = [Fault(drip_s=0.05)]
    started = time.monotonic()
    client(server).fetch("a.dat", tmp_path / "a.dat", SHA)
    assert time.monotonic() - started < 2, "128,000 bytes at 20 bytes/s would have taken hours"


@pytest.mark.parametrize("header", ["1", "date"])
def test_retry_after_is_respected(server, tmp_path, header):
    import email.utils

    value = header if header == "1" else email.utils.formatdate(time.time() + 2, usegmt=True)
    server.faults["a.dat"] = [Fault(status=503, headers={"Retry-After": value})]
    started = time.monotonic()
    client(server).fetch("a.dat", tmp_path / "a.dat", SHA)
    assert 0.9 <= time.monotonic() - started < 4


def test_a_broken_large_file_is_resumed_where_it_ended(server, tmp_path):
    server.faults["big.dat"] = [Fault(cut=1_500_000)]
    fetched = client(server).fetch("big.dat", tmp_path / "big.dat", SHA_BIG)
    assert (tmp_path / "big.dat").read_bytes() == BIG
    assert fetched.resumed_from == 1_500_000
    last = server.requests[-1]
    assert last.status == 206
    assert last.headers["Range"] == "bytes=1500000-"
    assert "If-Range" in last.headers


def test_resume_by_a_later_run_without_a_digest(server, tmp_path):
    server.faults["big.dat"] = [Fault(cut=1_200_000)] + [Fault(status=500)] * 9
    with pytest.raises(CannotFetch):
        client(server).fetch("big.dat", tmp_path / "big.dat")
    assert not (tmp_path / "big.dat").exists()
    server.faults.clear()
    assert client(server).fetch("big.dat", tmp_path / "big.dat").resumed_from == 1_200_000
    assert (tmp_path / "big.dat").read_bytes() == BIG


@pytest.mark.parametrize("rude", [False, True], ids=["honours If-Range", "ignores If-Range"])
@pytest.mark.parametrize("known", [True, False], ids=["digest known", "no digest"])
def test_file_changed_between_two_attempts(server, tmp_path, rude, known):
    server.faults["big.dat"] = [Fault(cut=1200000), Fault(status=404)]
    new = BIG[::-1]
    digest = hashlib.sha256(new).hexdigest() if known else None
    with pytest.raises(CannotFetch):
        client(server).fetch("big.dat", tmp_path / "big.dat", digest)
    server.files["big.dat"] = new
    server.faults["big.dat"] = [Fault(ignore_if_range=rude)]
    client(server).fetch("big.dat", tmp_path / "big.dat", digest)
    assert (tmp_path / "big.dat").read_bytes() == new


def test_a_server_that_ignores_ranges_starts_over(server, tmp_path):
    server.faults["big.dat"] = [Fault(cut=1_200_000), Fault(ignore_range=True)]
    assert client(server).fetch("big.dat", tmp_path / "big.dat", SHA_BIG).resumed_from == 0
    assert (tmp_path / "big.dat").read_bytes() == BIG


def test_a_server_that_sends_another_range_is_not_believed(server, tmp_path):
    server.faults["big.dat"] = [Fault(cut=1_200_000), Fault(wrong_range=True)]
    client(server).fetch("big.dat", tmp_path / "big.dat")
    assert (tmp_path / "big.dat").read_bytes() == BIG
    assert [r.status for r in server.requests] == [200, 206, 200]


def test_a_partial_file_that_is_too_long_is_dropped(server, tmp_path):
    server.faults["big.dat"] = [Fault(cut=1200000), Fault(status=404)]
    with pytest.raises(CannotFetch):
        client(server).fetch("big.dat", tmp_path / "big.dat", SHA_BIG)
    with partial_of(tmp_path / "big.dat").open("ab") as stream:
        stream.write(BIG)
    client(server).fetch("big.dat", tmp_path / "big.dat", SHA_BIG)
    assert (tmp_path / "big.dat").read_bytes() == BIG


def test_another_mirror_goes_on_where_the_first_stopped(server, tmp_path):
    with FaultyServer({"big.dat": BIG}) as second:
        server.faults["big.dat"] = [Fault(cut=1_300_000, reset=True)]
        fetched = client(server, second).fetch("big.dat", tmp_path / "big.dat", SHA_BIG)
    assert fetched.mirror == "mirror 1"
    assert 0 < fetched.resumed_from <= 1_300_000
    assert (tmp_path / "big.dat").read_bytes() == BIG


def test_mirrors_that_lack_the_file_or_are_down(server, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = Mirror("down", f"http://127.0.0.1:{closed.getsockname()[1]}/")
        with FaultyServer() as empty:
            mirrors = [down, Mirror("empty", empty.url), Mirror("good", server.url)]
            chosen = Transport(mirrors, patience=QUICK)
            for number in range(8):
                assert chosen.fetch("a.dat", tmp_path / f"{number}", SHA).mirror == "good"
            assert empty.count() == 5, "a mirror that failed five times in a row is asked last"
    assert chosen.retries == 0


def test_the_same_wrong_bytes_twice_are_reported(server, tmp_path):
    server.files["a.dat"] = b"something else"
    with pytest.raises(CannotFetch, match="checksum"):
        client(server).fetch("a.dat", tmp_path / "a.dat", SHA)
    assert server.count("a.dat") == 2
    assert nothing_but(tmp_path)


def test_not_published_is_told_apart_and_costs_one_request(server, tmp_path):
    with pytest.raises(NotPublished):
        client(server).fetch("no.dat", tmp_path / "no.dat", SHA)
    assert server.count() == 1
    assert nothing_but(tmp_path)


def test_failure_leaves_what_was_there(server, tmp_path):
    (tmp_path / "a.dat").write_bytes(b"before")
    server.faults["a.dat"] = [Fault(status=500)] * 9
    with pytest.raises(CannotFetch, match="HTTP 500"):
        client(server).fetch("a.dat", tmp_path / "a.dat", SHA)
    assert (tmp_path / "a.dat").read_bytes() == b"before"
    assert server.count() == QUICK.attempts


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/"])
def test_redirects_elsewhere_are_refused(server, tmp_path, target):
    server.faults["a.dat"] = [Fault(status=302, headers={"Location": target})] * 9
    with pytest.raises(CannotFetch, match="redirects"):
        client(server).fetch("a.dat", tmp_path / "a.dat", SHA)
    assert server.count() == 1


def test_redirects_are_followed_but_not_in_a_circle(server, tmp_path):
    server.faults["old"] = [Fault(status=301, headers={"Location": "a.dat"})]
    client(server).fetch("old", tmp_path / "a.dat", SHA)
    server.faults["circle"] = [Fault(status=302, headers={"Location": "circle"})] * 99
    with pytest.raises(CannotFetch, match="circle"):
        client(server).fetch("circle", tmp_path / "b.dat", SHA)


def test_https_is_not_given_up_by_a_redirect(server, tmp_path, monkeypatch):
    class Answer:
        status_code, headers = 302, {"Location": server.url + "a.dat"}

        def close(self):
            pass

    class Session:
        def request(self, method, url, **_):
            assert url.startswith("https://")
            return Answer()

    monkeypatch.setattr(Transport, "_session", lambda self: Session())
    with pytest.raises(CannotFetch, match="redirects"):
        Transport([Mirror("m", "https://example.org/")], patience=QUICK).fetch("a.dat", tmp_path / "a.dat", SHA)
    assert server.count() == 0


def test_a_body_that_was_compressed_on_the_way(server, tmp_path):
    server.faults["a.dat"] = [Fault(headers={"Content-Encoding": "gzip"}, body=gzip.compress(BODY))]
    assert client(server).fetch("a.dat", tmp_path / "a.dat", SHA).size == len(BODY)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_chunked_bodies_whole_and_cut(server, tmp_path):
    server.chunked = True
    server.faults["a.dat"] = [Fault(cut=40_000)]
    client(server).fetch("a.dat", tmp_path / "a.dat")
    assert (tmp_path / "a.dat").read_bytes() == BODY
    assert server.count() == 2


def test_empty_file_and_odd_names(server, tmp_path):
    server.files["ä b/%41 #1.hea"] = b""
    server.publish()
    target = tmp_path / "Größe 1" / "x.hea"
    assert client(server).fetch("ä b/%41 #1.hea", target, hashlib.sha256(b"").hexdigest()).size == 0
    assert target.read_bytes() == b""


def test_connections_are_used_again(server, tmp_path):
    one = client(server)
    for number in range(20):
        one.fetch("a.dat", tmp_path / str(number), SHA)
    with pytest.raises(NotPublished):
        one.fetch("no.dat", tmp_path / "no", SHA)
    one.fetch("a.dat", tmp_path / "a.dat", SHA)
    assert server.connections == 1


def test_full_disk_is_not_taken_for_a_broken_connection(server, tmp_path, monkeypatch):
    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_note", full)
    with pytest.raises(CannotWrite) as caught:
        client(server).fetch("big.dat", tmp_path / "big.dat", SHA_BIG)
    assert caught.value.error.errno == errno.ENOSPC
    assert server.count() == 1


def test_stopping_ends_a_transfer_and_a_wait(server, tmp_path):
    server.throttle_s = 0.05
    one = client(server)
    threading.Timer(0.2, one.stop.set).start()
    started = time.monotonic()
    with pytest.raises(Stopped):
        one.fetch("big.dat", tmp_path / "big.dat", SHA_BIG)
    assert time.monotonic() - started < 1
    assert not (tmp_path / "big.dat").exists()
    with pytest.raises(Stopped):
        one.fetch("a.dat", tmp_path / "a.dat", SHA)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".big.dat.partial", ".big.dat.partial.json"]
    server.faults["a.dat"] = [Fault(status=503, headers={"Retry-After": "60"})]
    two = client(server)
    threading.Timer(0.2, two.stop.set).start()
    with pytest.raises(Stopped):
        two.fetch("a.dat", tmp_path / "a.dat", SHA)
    assert time.monotonic() - started < 2


def test_counted_bytes_agree_with_the_file_after_all_troubles(server, tmp_path):
    counted = []
    server.faults["big.dat"] = [Fault(cut=1_200_000), Fault(status=500), Fault(cut=500_000, reset=True)]
    client(server, on_bytes=counted.append).fetch("big.dat", tmp_path / "big.dat", SHA_BIG)
    assert sum(counted) == len(BIG)
