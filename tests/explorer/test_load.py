"""Two hundred readers at once get whole answers (benchmarks/bench_explorer.py: at full size)."""

from __future__ import annotations

from support.readers import read_together


def test_two_hundred_readers(server: str) -> None:
    paths = ["/", "/static/main.js", "/api/overview", "/api/questions?split=test&agreement=disagree", "/api/stats"]
    paths += [f"/api/ecg/{row}/signal" for row in range(20)] + [f"/api/ecg/{row}/beats" for row in range(3)]
    seconds = sorted(read_together(server, paths, n_readers=200, n_each=3, timeout_s=60))
    assert len(seconds) == 600
    assert seconds[300] < 10
