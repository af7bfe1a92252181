"""One HTTP connection pool to one API server: sends a request, retries what is safe, maps errors.

Carried by `kubernetes.aio`'s client with our TLS context. Imported late: the
package and aiohttp cost 0.4 s. Retried are: 429 (any method: it was not
carried out), 5xx and broken connections (GET only), 401 once after the
credential was renewed. Redirects are not followed; no cookie is kept; no
credential is taken from a `.netrc`.
"""

from __future__ import annotations

import asyncio
import functools
import urllib.request
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from multidict import CIMultiDict

from console import __version__
from console.engine.aiokit import Backoff
from console.engine.errors import ClusterError, ServerFailed, SignInFailed, Throttled, Unreachable
from console.engine.kube.answers import error_for
from console.engine.kube.credentials import Credential, impersonation_headers
from console.engine.kube.reasons import may_pass, unreachable
from console.engine.kube.tls import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from aiohttp.client_middlewares import ClientHandlerType

    from console.engine.aiokit import Clock
    from console.engine.kube.access import ClusterAccess
    from console.engine.kube.credentials import SignIn
    from console.engine.kube.request import Request

MAX_TRIES = 5
REQUEST_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
HEARTBEAT_S = 60.0
MAX_ERROR_BYTES = 64 << 10
MAX_LINE_BYTES = 32 << 20


class Connection:
    """The way to one API server; `load_files` has been done on the access."""

    def __init__(self, access: ClusterAccess, *, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._credential = Credential(access, clock)
        self._impersonation = impersonation_headers(access)
        self._api: ApiClient | None = None
        self._certificate = b""
        self._retired: list[ApiClient] = []
        self._date: tuple[datetime, float] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        clients = [*self._retired, *([self._api] if self._api else [])]
        self._api, self._retired = None, []
        for client in clients:
            await client.rest_client.close()

    @property
    def date(self) -> tuple[datetime, float] | None:
        """The Date of the last answer, and the clock's `elapsed_s` when it came."""
        return self._date

    async def send(self, request: Request) -> bytes:
        """The body of a successful answer.

        Raises:
            ClusterError: By status, after the retries that are safe.
        """

        async def read(response: aiohttp.ClientResponse) -> bytes:
            return await response.read()

        return await self._retrying(request, lambda: self._once(request, read))

    async def _retrying(self, request: Request, send: Callable[[], Awaitable[bytes]]) -> bytes:
        backoff = Backoff(first_s=0.2, limit_s=5.0)
        for left in range(MAX_TRIES - 1 if request.patient else 0, -1, -1):
            try:
                return await send()
            except Throttled as error:
                if not left:
                    raise
                await asyncio.sleep(error.after_s)
            except (Unreachable, ServerFailed) as error:
                if not left or request.method != "GET" or not may_pass(error):
                    raise
                await asyncio.sleep(backoff.next_s())
        raise AssertionError("the last try returns or raises")

    async def _once(
        self, request: Request, read: Callable[[aiohttp.ClientResponse], Awaitable[bytes]]
    ) -> bytes:
        limits = aiohttp.ClientTimeout(
            total=request.timeout_s or REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S
        )
        async with self._answer(request, limits) as response:
            return await read(response)

    async def lines(self, request: Request, *, idle_s: float | None) -> AsyncGenerator[bytes]:
        """The lines of an answer as they come, without their end; a last half line is dropped.

        Args:
            idle_s: End when nothing came for so long.

        Raises:
            ClusterError: As `send`, but nothing is retried. A broken connection in the middle
                and `idle_s` are ends, not errors.
        """
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=idle_s)
        async with self._answer(request, limits) as response:
            rest = bytearray()
            chunks = response.content.iter_any()
            while True:
                try:
                    chunk = await anext(chunks, b"")
                except (aiohttp.ClientError, TimeoutError, OSError):
                    return
                if not chunk:
                    return
                for line in _split(rest, chunk):
                    yield line

    @asynccontextmanager
    async def _answer(
        self, request: Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, unread."""
        sign_in = await self._credential.current()
        try:
            response = await self._call(request, sign_in, limits)
            try:
                if response.status == 401 and await self._credential.refused(sign_in):
                    response.release()
                    sign_in = await self._credential.current()
                    response = await self._call(request, sign_in, limits)
                self._note_date(response)
                if not 200 <= response.status < 300:
                    raise await _refusal(request, response)
                yield response
            finally:
                response.close() if request.streams else response.release()
        except ClusterError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, request) from error

    @asynccontextmanager
    async def web_socket(
        self, request: Request, *, protocols: tuple[str, ...]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket for the length of the block, in the first protocol that the server knows.

        Raises:
            ClusterError: By status, from opening it only; nothing is retried.
        """
        sign_in = await self._credential.current()
        try:
            socket = await self._upgraded(request, sign_in, protocols)
        except SignInFailed:
            if not await self._credential.refused(sign_in):
                raise
            socket = await self._upgraded(request, await self._credential.current(), protocols)
        try:
            yield socket
        finally:
            await socket.close()

    async def _upgraded(
        self, request: Request, sign_in: SignIn, protocols: tuple[str, ...]
    ) -> aiohttp.ClientWebSocketResponse:
        rest = (await self._client_for(sign_in)).rest_client
        session = rest.pool_manager
        if session is None:
            raise Unreachable("the connection was closed", subject=request.subject)
        try:
            async with asyncio.timeout(request.timeout_s or REQUEST_TIMEOUT_S):
                return await session.ws_connect(
                    self._url(request),
                    headers=self._headers(request, sign_in),
                    protocols=protocols,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                    heartbeat=HEARTBEAT_S,
                    server_hostname=self._access.tls_server_name or None,
                    proxy=rest.proxy,
                    max_msg_size=MAX_LINE_BYTES,
                )
        except ClusterError as error:
            error.subject = error.subject or request.subject
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, request) from error

    def _headers(self, request: Request, sign_in: SignIn) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = CIMultiDict(self._impersonation)
        headers["Accept"] = request.accept
        headers["User-Agent"] = f"kubehaven/{__version__}"
        if sign_in.authorization:
            headers["Authorization"] = sign_in.authorization
        return headers

    def _url(self, request: Request) -> str:
        url = self._access.server + request.path
        return f"{url}?{urlencode(request.query)}" if request.query else url

    async def _call(
        self, request: Request, sign_in: SignIn, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        headers = self._headers(request, sign_in)
        headers["Content-Type"] = request.content_type
        api = await self._client_for(sign_in)
        answer = await api.call_api(
            request.method,
            self._url(request),
            header_params=headers,
            body=request.body,
            _request_timeout=limits,
            _preload_content=False,
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _client_for(self, sign_in: SignIn) -> ApiClient:
        if self._api is not None and self._certificate == sign_in.client_cert:
            return self._api
        context = await asyncio.to_thread(
            tls_context,
            self._access,
            client_cert=sign_in.client_cert,
            client_key=sign_in.client_key,
        )
        if self._api is not None:
            self._retired.append(self._api)  # its answers may still be read
        self._api = _api_client(self._access, context)
        self._certificate = sign_in.client_cert
        return self._api

    def _note_date(self, response: aiohttp.ClientResponse) -> None:
        try:
            date = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError):
            return
        if date.tzinfo is not None:
            self._date = (date, self._clock.elapsed_s())


def _api_client(access: ClusterAccess, context: ssl.SSLContext) -> ApiClient:
    configuration = Configuration(
        host=access.server,
        ca_cert_data=None,
        tls_server_name=access.tls_server_name or None,
        proxy=access.proxy_url or _environment_proxy(access.server),
        connection_pool_maxsize=100,
        client_session_kwargs={
            "trust_env": False,
            "cookie_jar": aiohttp.DummyCookieJar(),
            "middlewares": (_stay,),
        },
    )
    client = ApiClient(configuration)
    rest = client.rest_client
    rest.ssl_context = context  # before the pool is made, which takes it from here
    rest.pool_manager = rest._create_pool_manager()
    # aiohttp would silently send PUT and DELETE again on a reused connection that broke: the
    # second one may fail its precondition although the first was carried out.
    rest.pool_manager._retry_connection = False
    connector = rest.pool_manager.connector
    if connector is not None:  # it is until the pool is closed
        made = functools.partial(_CutHandler, loop=asyncio.get_running_loop())
        connector._factory = cast("functools.partial[ResponseHandler]", made)
    return client


class _CutHandler(ResponseHandler):
    """Cuts a connection that is not used again, as aiohttp does with idle ones.

    A polite TLS close waits for the other side, and would outlive a loop that ends meanwhile.
    """

    def close(self) -> None:
        self.abort()


async def _stay(
    request: aiohttp.ClientRequest, handler: ClientHandlerType
) -> aiohttp.ClientResponse:
    """A redirect is an answer: nothing of ours is ever sent to where it points.

    Neither does a refused upgrade lose what the server said about it.
    """
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise error_for(response.status, b"", method=request.method)
    if "Upgrade" in request.headers and response.status != 101:
        body = await response.content.read(MAX_ERROR_BYTES)
        response.close()
        raise error_for(response.status, body, method=request.method)
    return response


def _environment_proxy(server: str) -> str | None:
    """HTTPS_PROXY and NO_PROXY as kubectl reads them: never for this machine itself."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    if host in {"localhost", "::1"} or host.startswith("127."):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


async def _refusal(request: Request, response: aiohttp.ClientResponse) -> ClusterError:
    body = await response.content.read(MAX_ERROR_BYTES)
    while len(body) < MAX_ERROR_BYTES and (part := await response.content.read(MAX_ERROR_BYTES)):
        body += part
    return error_for(
        response.status,
        body,
        method=request.method,
        subject=request.subject,
        retry_after=response.headers.get("Retry-After", ""),
    )


def _split(rest: bytearray, chunk: bytes) -> list[bytes]:
    """Whole lines of `rest` and `chunk`; what is left stays in `rest`."""
    head, newline, tail = chunk.rpartition(b"\n")
    if not newline:
        rest += chunk
        if len(rest) > MAX_LINE_BYTES:
            raise ServerFailed("one event is over 32 MiB", code="cluster.answer")
        return []
    lines = (bytes(rest) + head).split(b"\n")
    rest[:] = tail
    return [line for line in lines if line]
