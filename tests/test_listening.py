"""The socket that the server listens on."""

import asyncio
import socket

import pytest

from app import serving
from app.settings import Settings
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


@pytest.mark.parametrize(
    ("said", "names", "is_warned"),
    [
        ({"host": "127.0.0.1"}, "", False),
        ({"host": "127.0.0.1", "public_url": "https://desk.example"}, "desk.example", False),
        ({"host": "0.0.0.0"}, "localhost alone", True),
        ({"host": "0.0.0.0", "allowed_hosts": "desk, 192.0.2.2"}, "192.0.2.2, desk", True),
        ({"host": "192.0.2.2", "public_url": "http://desk.example:9811"}, "192.0.2.2, desk.example", True),
        ({"host": "0.0.0.0", "public_url": "https://desk.example"}, "desk.example", False),
    ],
)
def test_the_start_says_who_can_listen_and_which_names_are_answered(
    said: dict[str, str], names: str, *, is_warned: bool
) -> None:
    lines = serving.advice(Settings(**said))  # type: ignore[arg-type]

    assert lines[0].startswith(f"hosts     {names}; ") if names else lines == []
    assert any("in the clear" in line for line in lines) == is_warned
