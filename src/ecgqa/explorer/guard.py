"""What stands between the network and the page: hosts, token, origin, size of a request, headers of every response."""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
MAX_URL_BYTES: Final = 16 << 10


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether `host` stands for every address of this machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host


class Guard:
    """ASGI middleware that refuses what the page must not serve.

    A request is served if its Host header names this server (a page that re-binds its own name to this machine does
    not get in), if it carries the token where one is set (in the URL once, then in a cookie), if it does not come from
    a page of another origin, and if its body stays below `max_body_bytes`.
    """

    def __init__(self, app: ASGIApp, *, host: str, token: str | None, max_body_bytes: int) -> None:
        self.app, self.token, self.max_body_bytes = app, token, max_body_bytes
        self.any_host = is_wildcard(host) and token is not None
        self.hosts = {*LOOPBACK, host.lower()}
        self.cookie = "ecgqa-" + hashlib.sha256((token or "").encode()).hexdigest()[:8]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                return
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        await self.app(scope, self._bounded(receive), guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
            return PlainTextResponse("the address is too long", 414)
        host = headers.get("host", "")
        if not self.any_host and host_name(host) not in self.hosts:
            return PlainTextResponse("this server does not answer to that host name", 421)
        if self.token is not None:
            refused = self._without_token(scope, headers)
            if refused is not None:
                return refused
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host:
                return PlainTextResponse("requests from other pages are refused", 403)
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return PlainTextResponse("requests from other pages are refused", 403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.max_body_bytes:
            return too_large(self.max_body_bytes)
        return None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """None where the cookie holds the token; else a redirect that sets it, or a refusal."""
        assert self.token is not None
        if _same(_cookie(headers, self.cookie), self.token):
            return None
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] != "GET" or not any(_same(value, self.token) for name, value in pairs if name == "token"):
            return PlainTextResponse("open the address with the token that ecgqa explore printed", 401)
        rest = urlencode([pair for pair in pairs if pair[0] != "token"])
        # A path that begins with two slashes would lead to another host.
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(path + ("?" + rest if rest else ""), 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="lax", path="/")
        return answer

    def _bounded(self, receive: Receive) -> Receive:
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.max_body_bytes:
                    raise BodyTooLarge
            return message

        return bounded


class BodyTooLarge(Exception):
    """More was sent than the request said, or than is allowed."""


def too_large(at_most: int) -> Response:
    return JSONResponse({"error": "the upload is too large", "expected": f"at most {at_most >> 20} MB"}, 413)


def host_name(host: str) -> str:
    """The name in a Host header, without port, in lower case; "" if it is none."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    return "" if port and not port.isdigit() else name.rstrip(".").lower()


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
