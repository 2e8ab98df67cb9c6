"""The room's Socket.IO messages, by python-socketio."""

import asyncio
from collections.abc import Callable

import socketio

ANSWER_SECONDS_MAX = 30


class RequestFailed(Exception):
    """The server's `{error:{code,message}}`."""


class Signaling:
    def __init__(self, url: str) -> None:
        self._url = url
        self._socket = socketio.AsyncClient(reconnection=False)
        self._ended = asyncio.Event()
        self._socket.on("disconnect", lambda *_: self._ended.set())

    async def connect(self) -> None:
        await self._socket.connect(self._url, transports=["websocket"])

    async def lost(self) -> None:
        """Until the connection ends; then that is an error."""
        await self._ended.wait()
        raise ConnectionError("the server has ended the connection")

    async def close(self) -> None:
        await self._socket.disconnect()

    def on(self, event: str, handler: Callable[[dict], None]) -> None:
        self._socket.on(event, handler)

    async def ask(self, request: str, **fields: object) -> dict:
        answer = await self._socket.call(request, fields, timeout=ANSWER_SECONDS_MAX)
        if "error" in answer:
            raise RequestFailed(f"{request}: {answer['error']}")
        return answer
