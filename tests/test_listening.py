"""The socket that the server listens on."""

import asyncio
import socket

from app import serving
from tests.loops import run_async


def test_an_answer_is_not_held_back_until_the_one_before_is_acknowledged() -> None:
    async def nagle_is_off() -> bool:
        asked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            kept: socket.socket = writer.get_extra_info("socket")
            asked.set_result(bool(kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        listening = serving._listen("127.0.0.1", 0, 1)
        server = await asyncio.start_server(answer, sock=listening)
        _, writer = await asyncio.open_connection(*listening.getsockname())
        found = await asyncio.wait_for(asked, 10)
        writer.close()
        await writer.wait_closed()
        server.close()
        return found

    assert run_async(nagle_is_off())
