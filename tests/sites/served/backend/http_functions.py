"""What tests/test_server*.py ask for: each function shows one thing that a server has to cope with."""

import asyncio
import gc
import io
import json
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path

import requests

from wixhttp import created, limits, ok, response
from wixhttp.secrets import getSecret

logger = logging.getLogger("shop")
MEGABYTES = 5
PIECE = 65_536


def get_hello(request):
    return ok(body={"hello": request.path[0], "q": request.query["q"]})


async def get_ahello(request):
    return ok(body={"hello": request.path[0], "q": request.query["q"]})


def post_echo(request):
    return created(body=request.body.buffer(), headers={"Content-Type": request.headers["content-type"] or "x/none"})


@limits(max_body="8MB")
async def post_aecho(request):
    return created(body=await request.body.buffer())


def use_about(request):
    return ok(
        body={
            "method": request.method,
            "ip": request.ip,
            "url": request.url,
            "baseUrl": request.baseUrl,
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
        }
    )


async def use_engine(request):
    """The event loop that serves, and the connections that there are."""
    from wixhttp.server.connection import HTTPConnection

    connections = [each for each in gc.get_objects() if isinstance(each, HTTPConnection)]
    return ok(body={"loop": type(asyncio.get_running_loop()).__module__, "connections": len(connections)})


def get_fan(request):
    """Call this site so many times at once, by threads, and return the statuses."""
    target = f"http://127.0.0.1:{request.query['port']}/_functions/hello/x"
    calls = int(request.path[0])
    with ThreadPoolExecutor(calls) as threads:
        return ok(list(threads.map(lambda _: requests.get(target, timeout=60).status_code, range(calls))))


def get_status(request):
    return response(status=int(request.path[0]))


# --- streams ---


def get_stream(request):
    def lines():
        for number in range(3):
            yield f"line {number}\n"

    return ok(body=lines())


async def get_astream(request):
    async def lines():
        for number in range(3):
            await asyncio.sleep(0)
            yield f"line {number}\n"

    return ok(body=lines(), headers={"Content-Type": "text/plain"})


_scope = ContextVar("scope", default="unset")


def _scoped(token):
    try:
        yield _scope.get()
    finally:
        _scope.reset(token)
        print(f"scope {_scope.get()}")


async def _ascoped(token):
    try:
        await asyncio.sleep(0)
        yield _scope.get()
    finally:
        _scope.reset(token)
        print(f"scope {_scope.get()}")


def get_scope(request):
    return ok(body=(_ascoped if request.path[0] == "async" else _scoped)(_scope.set("set")))


async def get_ascope(request):
    return ok(body=(_ascoped if request.path[0] == "async" else _scoped)(_scope.set("set")))


def get_file(request):
    return ok(body=io.BytesIO(b"0123456789" * 20_000))


def get_large(request):
    name = request.path[0]

    def pieces():
        print(f"opened {name}")
        try:
            for _ in range(MEGABYTES * 1_000_000 // PIECE):
                yield os.urandom(16) * (PIECE // 16)
        finally:
            print(f"closed {name}")

    return ok(body=pieces())


async def get_alarge(request):
    name = request.path[0]

    async def pieces():
        print(f"opened {name}")
        try:
            for _ in range(MEGABYTES * 1_000_000 // PIECE):
                yield os.urandom(16) * (PIECE // 16)
        finally:
            print(f"closed {name}")

    return ok(body=pieces())


class LargeFile(io.RawIOBase):
    def __init__(self, name):
        self.name = name
        self.left = MEGABYTES * 1_000_000
        print(f"opened {name}")

    def read(self, size=-1):
        size = min(size, self.left)
        self.left -= size
        return b"x" * size

    def close(self):
        if not self.closed:
            print(f"closed {self.name}")
        super().close()


def get_largefile(request):
    return ok(body=LargeFile(request.path[0]))


def get_whole(request):
    return ok(body=b"x" * (MEGABYTES * 1_000_000))


def get_endless(request):
    def ticks():
        try:
            while True:
                yield b"tick\n"
                time.sleep(0.05)
        finally:
            print("endless closed")

    return ok(body=ticks())


async def get_aendless(request):
    async def ticks():
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.05)
        finally:
            print("aendless closed")

    return ok(body=ticks())


def get_half(request):
    def pieces():
        yield b"first\n"
        raise RuntimeError("half-way")

    return ok(body=pieces())


async def get_ahalf(request):
    async def pieces():
        yield b"first\n"
        raise RuntimeError("half-way")

    return ok(body=pieces())


def get_atonce(request):
    def pieces():
        raise RuntimeError("before the first piece")
        yield b""

    return ok(body=pieces())


# --- time ---


def get_sleep(request):
    print(f"began {request.path[0]}")
    time.sleep(float(request.query["seconds"]))
    print(f"ended {request.path[0]}")
    return ok(body={"slept": request.path[0], "padding": "x" * 20_000})


async def get_asleep(request):
    print(f"began {request.path[0]}")
    try:
        await asyncio.sleep(float(request.query["seconds"]))
    except asyncio.CancelledError:
        print(f"cancelled {request.path[0]}")
        raise
    print(f"ended {request.path[0]}")
    return ok(body={"slept": request.path[0], "padding": "x" * 20_000})


post_sleep = get_sleep
post_asleep = get_asleep


def get_late(request):
    time.sleep(float(request.query["seconds"]))
    raise ValueError("too late to be told")


def get_held(request):
    print(f"held {request.path[0]}")
    while not Path(request.query["until"]).exists():
        time.sleep(0.01)
    return ok(body={})


async def get_aheld(request):
    print(f"held {request.path[0]}")
    while not Path(request.query["until"]).exists():  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.01)
    return ok(body={})


_tasks = set()


async def get_task(request):
    async def work():
        print(f"task began {request.path[0]}")
        await asyncio.sleep(float(request.query["seconds"]))

        async def more():
            await asyncio.sleep(0.2)
            print(f"task of the task ended {request.path[0]}")

        _tasks.add(asyncio.create_task(more()))
        print(f"task ended {request.path[0]}")

    _tasks.add(asyncio.create_task(work()))
    return ok(body={"started": request.path[0]})


# --- what goes wrong ---


def get_raises(request):
    raise ValueError(f"no {request.path[0]}")


async def get_araises(request):
    raise ValueError(f"no {request.path[0]}")


def get_exit(request):
    sys.exit(3)


async def get_aexit(request):
    sys.exit(3)


def get_interrupt(request):
    raise KeyboardInterrupt


async def get_ainterrupt(request):
    raise KeyboardInterrupt


async def get_acancel(request):
    raise asyncio.CancelledError


async def get_taskexit(request):
    async def work():
        sys.exit(3)

    task = asyncio.create_task(work())
    await asyncio.wait([task])
    return ok(body={"pid": os.getpid()})


def _raise(error):
    raise error


async def get_callback(request):
    error = {"exit": SystemExit(int(request.query["code"])), "interrupt": KeyboardInterrupt()}[request.path[0]]
    asyncio.get_running_loop().call_soon(_raise, error)
    await asyncio.sleep(60)
    return ok(body={})


def get_recursion(request):
    return get_recursion(request)


def get_nested(request):
    value = []
    for _ in range(100_000):
        value = [value]
    return ok(body=value)


def get_none(request):
    pass


def get_crlf(request):
    return ok(body="x", headers={"X-A": "a\r\nX-B: b"})



# --- the log ---


def get_print(request):
    print(request.query["text"])
    return ok(body={})


async def get_aprint(request):
    print(request.query["text"])
    return ok(body={})


def get_prints(request):
    for number in range(50):
        print(request.path[0], end=" ")
        time.sleep(0.001)
        print(number)
    return ok(body={})


def get_log(request):
    logger.warning("logged %s", request.query["text"], extra={"colour": "red"})
    return ok(body={})


async def get_thread(request):
    await asyncio.to_thread(logger.info, "logged on a thread")
    await asyncio.get_running_loop().run_in_executor(None, print, "no context here")
    return ok(body={})


def get_badlog(request):
    logger.info("%d items", "three")
    return ok(body={})


async def get_secret(request):
    value = await getSecret("API_KEY")
    print("the key is " + value)
    logger.info("the keys are %s", json.dumps({"key": value}))
    if request.path[0] == "raise":
        raise ValueError(f"bad key {value}")
    return response(status=200, body={"length": len(value)})
