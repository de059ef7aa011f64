"""Scripted upstreams: one listening socket for each backend, all in one thread, answering as a case says."""
import asyncio
import os
import socket
import struct
import threading

import upstream_h2

# What the scripted backends speak where a test says nothing else.
IS_HTTP2 = os.environ.get("WEIR_UPSTREAM_HTTP") == "2"


class Attempt:
    """One request as a backend received it."""

    def __init__(self, backend, method, path, headers, body):
        self.backend, self.method, self.path, self.headers, self.body = backend, method, path, headers, body

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]


async def read_body(reader, headers):
    lower = {name.lower(): value for name, value in headers}
    if "chunked" in lower.get("transfer-encoding", ""):
        body = b""
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            if size == 0:
                while (await reader.readline()).strip():
                    pass
                return body
            body += await reader.readexactly(size)
            await reader.readexactly(2)
    return await reader.readexactly(int(lower.get("content-length", 0)))


async def read_request(reader):
    """-> (method, path, headers, body), or None at the end of the connection."""
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers = []
    while line := (await reader.readline()).strip(b"\r\n"):
        name, value = line.split(b":", 1)
        headers.append((name.decode("latin-1"), value.strip().decode("latin-1")))
    return method, path, headers, await read_body(reader, headers)


class Upstreams:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.servers, self.ports, self.writers = {}, {}, {}
        self.script, self.attempts = [], []
        self.over = asyncio.Event()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def open(self, backend):
        """Listens for a backend and gives the port; the same one when it is opened again."""
        self.call(self._open(backend))
        return self.ports[backend]

    async def _open(self, backend):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.ports.get(backend, 0)))
        self.ports[backend] = sock.getsockname()[1]
        self.writers.setdefault(backend, set())
        self.servers[backend] = await asyncio.start_server(
            lambda reader, writer: self._serve(backend, reader, writer), sock=sock, limit=1 << 26)

    def refuse(self, backend):
        """From now on connections to this backend are refused, and those that are open are gone."""
        self.call(self._refuse(backend))

    async def _refuse(self, backend):
        self.servers.pop(backend).close()
        for writer in list(self.writers[backend]):
            writer.close()
        await asyncio.sleep(0.01)

    def start(self, script):
        self.call(self._start(script))

    async def _start(self, script):
        self.over.set()  # what an earlier case stalled goes on now
        self.over = asyncio.Event()
        self.script, self.attempts = list(script), []

    def close(self):
        self.call(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    async def _close(self):
        for server in self.servers.values():
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, backend, reader, writer):
        self.writers[backend].add(writer)
        try:
            if IS_HTTP2:
                await upstream_h2.Connection(self, backend, reader, writer, Attempt).serve()
            while request := await read_request(reader):
                attempts, over = self.attempts, self.over
                attempts.append(Attempt(backend, *request))
                answer = self.script.pop(0) if self.script else {}
                if not await self._answer(writer, request[0], answer, over):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            self.writers[backend].discard(writer)
            writer.close()

    async def _answer(self, writer, method, answer, over):
        """False: the connection is used up."""
        fault = answer.get("fault")
        if fault == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault == "stall" and "pieces" not in answer:
            await over.wait()
            return False
        status = answer.get("status", 200)
        head = f"HTTP/1.1 {status} Scripted\r\n"
        for line in answer.get("headers", []):
            head += line + "\r\n"
        body = answer["bytes"] if "bytes" in answer else b"{}"
        if "pieces" in answer:
            writer.write((head + "transfer-encoding: chunked\r\n\r\n").encode("latin-1"))
            for piece in answer["pieces"]:
                await writer.drain()
                await asyncio.sleep(0.001)  # each piece arrives by itself
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            if fault == "stall":
                await over.wait()
                return False
            if fault == "cut":
                await asyncio.sleep(0.005)
                return False
            writer.write(b"0\r\n\r\n")
        elif status in (204, 304):
            writer.write((head + "\r\n").encode("latin-1"))
        else:
            length = len(body) + (1000 if fault == "cut" else 0)
            writer.write((head + f"content-length: {length}\r\n\r\n").encode("latin-1") + (b"" if method == "HEAD" else body))
        await writer.drain()
        return fault != "cut"
