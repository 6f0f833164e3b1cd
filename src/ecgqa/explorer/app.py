"""The web application: which address answers with what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ecgqa import __version__
from ecgqa.errors import EcgqaError
from ecgqa.explorer import trace
from ecgqa.explorer.explorer import Explorer
from ecgqa.explorer.filters import number, read_filters
from ecgqa.explorer.guard import BodyTooLarge, Guard, too_large
from ecgqa.explorer.static_files import load_static
from ecgqa.explorer.uploads import MAX_BODY_BYTES, is_key

PAGES: Final = ("/", "/question/{split}/{version}/{sample_id}", "/ecg/{row}", "/results", "/stats", "/ask")
"""Addresses of views: all are the one page, which shows what its address says."""
UPLOAD_TIMEOUT_S: Final = 60.0
ASK_TIMEOUT_S: Final = 120.0
PER_PAGE: Final = 50
Endpoint = Callable[[Explorer, Request], Any]


def make_app(explorer: Explorer, *, host: str = "127.0.0.1", token: str | None = None) -> ASGIApp:
    """The application over what `explorer` holds, for a server bound to `host`."""
    static = load_static()

    def asset(request: Request) -> Response:
        found = static.get(request.path_params["name"])
        if found is None or found.media_type.startswith("text/html"):
            return PlainTextResponse("there is no such file", 404)
        headers = {"ETag": found.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)

    def page(request: Request) -> Response:
        return Response(static["index.html"].content, media_type=static["index.html"].media_type)

    def api(path: str, endpoint: Endpoint) -> Route:
        async def answer(request: Request) -> Response:
            # Filters and tables are quick but hold the interpreter: threads keep the server answering meanwhile.
            found = await run_in_threadpool(endpoint, explorer, request)
            return found if isinstance(found, Response) else Json(found)

        return Route(f"/api/{path}", answer, methods=["GET"])

    def posted(path: str, endpoint: Callable[[Explorer, Request], Awaitable[Any]]) -> Route:
        async def answer(request: Request) -> Response:
            return Json(await endpoint(explorer, request))

        return Route(f"/api/{path}", answer, methods=["POST"])

    app = Starlette(
        routes=[
            *(Route(path, page) for path in PAGES),
            Route("/static/{name}", asset),
            api("overview", overview),
            api("questions", questions),
            api("question/{split}/{version}/{sample_id}", question),
            api("ecg/{key}", ecg),
            api("ecg/{key}/signal", signal),
            api("ecg/{key}/beats", beats),
            api("results", results),
            api("stats", stats),
            posted("upload", upload),
            posted("ask", ask),
        ],
        exception_handlers={
            EcgqaError: _told,
            BodyTooLarge: lambda request, error: too_large(MAX_BODY_BYTES),
            HTTPException: _http,
            Exception: _unexpected,
        },
    )
    return Guard(app, host=host, token=token, max_body_bytes=MAX_BODY_BYTES)


class Json(JSONResponse):
    """JSON, compact, in which a number that is none stops here instead of in the browser."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode()


def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, EcgqaError)
    return Json(_as_json(error), 404 if request.method == "GET" else 422)


def _as_json(error: EcgqaError) -> dict[str, str | None]:
    return {"error": error.message, "expected": error.expected, "found": error.found, "fix": error.fix}


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
    return Json({"error": text, "expected": None, "found": None, "fix": None}, error.status_code)


def _unexpected(request: Request, error: Exception) -> Response:
    told = f"unexpected {type(error).__name__}; the terminal that runs ecgqa explore shows where"
    return Json({"error": told, "expected": None, "found": None, "fix": None}, 500)


def overview(explorer: Explorer, request: Request) -> dict[str, Any]:
    """What the page is about."""
    return {
        "store": explorer.store.folder.resolve().name,
        "n_questions": len(explorer.catalogue),
        "n_ecgs": explorer.store.n_ecgs,
        "fs_hz": explorer.store.fs_hz,
        "runs": explorer.run_names,
        "has": {
            "attributes": explorer.ecgs.attributes is not None,
            "findings": explorer.ecgs.findings is not None,
            "reports": explorer.ecgs.reports is not None,
        },
        "reader": explorer.asking.trained.name if explorer.asking.trained else None,
        "version": __version__,
    }


def questions(explorer: Explorer, request: Request) -> dict[str, Any]:
    """One page of the questions that pass the filters, with counts per value of each filter."""
    filters = read_filters(request.query_params.multi_items())
    runs = explorer.runs(wait=filters.needs_runs)
    found = explorer.catalogue.find_with_facets(filters, runs)
    page = number(request.query_params.get("page", "1"), "page") or 1
    rows = found.rows[(page - 1) * PER_PAGE : page * PER_PAGE]
    return {
        "total": len(found.rows),
        "page": page,
        "per_page": PER_PAGE,
        "questions": explorer.catalogue.briefs(rows),
        "facets": found.facets,
        "runs": explorer.run_names,
        "marks": None if runs is None else runs.marks(rows),
    }


def question(explorer: Explorer, request: Request) -> dict[str, Any]:
    """One question with everything known of it, and its neighbours among those that pass the filters."""
    path = request.path_params
    sample_id = number(path["sample_id"], "sample_id", at_most=2**62)
    filters = read_filters(request.query_params.multi_items())
    return explorer.question(path["split"], path["version"], sample_id, filters)


def ecg(explorer: Explorer, request: Request) -> dict[str, Any]:
    """An ECG of the store with what is known of it and asked about it, or an upload."""
    key = request.path_params["key"]
    if is_key(key):
        return _upload(explorer, key)
    by_id = request.query_params.get("by") == "id"
    row = explorer.ecgs.row_of_id(number(key, "ecg_id", at_most=2**62)) if by_id else number(key, "ECG row")
    return explorer.ecg(row)


def _upload(explorer: Explorer, key: str) -> dict[str, Any]:
    name, found = explorer.uploads.get(key)
    return {"key": key, "name": name, "flags": list(found.flags), "trace": trace.about(found)}


def signal(explorer: Explorer, request: Request) -> Response:
    """The samples as int16, lead after lead; what they mean stands in the header X-Trace as JSON."""
    found = explorer.shown(request.path_params["key"])
    headers = {"X-Trace": json.dumps(trace.about(found))}
    return Response(trace.as_bytes(found), media_type="application/octet-stream", headers=headers)


def beats(explorer: Explorer, request: Request) -> dict[str, Any]:
    """Where the waves of each beat lie."""
    key = request.path_params["key"]
    return trace.beats(explorer.shown(key)) if is_key(key) else explorer.ecgs.beats(number(key, "ECG row"))


def results(explorer: Explorer, request: Request) -> Any:
    """Scores of all runs; status 202 while they are being computed."""
    asked = request.query_params
    split, version = asked.get("split", ""), asked.get("version", "")
    scores: Future[Any] = explorer.results.scores(split, version)
    if not scores.done():
        return Json({"state": "computing"}, 202)
    runs = explorer.runs(wait=True)
    assert runs is not None
    breakdown, metric = asked.get("breakdown", "question_type"), asked.get("metric", "em_candidates")
    return explorer.results.tables(scores.result(), runs, split, version, breakdown, metric)


def stats(explorer: Explorer, request: Request) -> dict[str, Any]:
    """Counts of the whole store."""
    return explorer.statistics


async def upload(explorer: Explorer, request: Request) -> dict[str, Any]:
    """Take the files of one ECG (multipart fields `file`, and `fs_hz` for a CSV without times)."""
    try:
        async with (
            asyncio.timeout(UPLOAD_TIMEOUT_S),
            explorer.uploads.slots,
            request.form(max_files=2, max_fields=2, max_part_size=1024) as form,
        ):
            given = [value for value in form.getlist("file") if isinstance(value, UploadFile)]
            contents = {file.filename or "": await file.read() for file in given}
            rate = str(form.get("fs_hz") or "")
    except TimeoutError:
        raise HTTPException(408, "the upload took too long") from None
    try:
        fs_hz = float(rate) if rate else None
    except ValueError:
        raise EcgqaError(
            f"the sampling rate is no number: {rate[:20]!r}", expected="a rate in Hz, such as 500"
        ) from None
    if len(contents) != len(given):
        raise EcgqaError("two of the files have one name", expected="a .hea and its .dat, or one .csv")
    key = await run_in_threadpool(explorer.uploads.add, contents, fs_hz)
    return _upload(explorer, key)


async def ask(explorer: Explorer, request: Request) -> dict[str, Any]:
    """Answer a question: JSON {"question": text, "ecgs": [row or upload key, …]}."""
    try:
        asked = json.loads(await request.body())
        text, keys = str(asked["question"]), [str(key) for key in asked["ecgs"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EcgqaError("this is no question", expected='{"question": "…", "ecgs": [0]}') from None
    if len(keys) not in (1, 2):
        raise EcgqaError("a question is about one ECG or two", found=f"{len(keys)}")
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            return await run_in_threadpool(explorer.ask, keys, text)
    except TimeoutError:
        raise HTTPException(504, "the reader took too long") from None
