"""The same scripted backends in HTTP/2 without TLS (WEIR_UPSTREAM_HTTP=2): Python's h2, many requests on a connection."""
import asyncio

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

HTTP1_ONLY = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")


def is_sayable(answer):
    """Whether HTTP/2 has words for the fields of an answer."""
    names = [line.split(":", 1)[0].strip().lower() for line in answer.get("headers", [])]
    return not any(name in HTTP1_ONLY for name in names)


class Request:
    def __init__(self, fields):
        self.fields, self.body = fields, b""

    def value(self, name):
        return next((value for key, value in self.fields if key == name), None)

    def parts(self):
        """As read_request gives them: :authority is the Host."""
        headers = [("host", self.value(":authority"))] + [(name, value) for name, value in self.fields if name[0] != ":"]
        return self.value(":method"), self.value(":path"), headers, self.body


class Connection:
    def __init__(self, upstreams, backend, reader, writer, make_attempt):
        self.upstreams, self.backend, self.reader, self.writer = upstreams, backend, reader, writer
        self.make_attempt = make_attempt
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False))
        self.requests, self.tasks, self.gone = {}, set(), set()
        self.room = asyncio.Event()

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def serve(self):
        self.h2.initiate_connection()
        self.flush()
        try:
            while data := await self.reader.read(1 << 16):
                for event in self.h2.receive_data(data):
                    self.take(event)
                self.flush()
        finally:
            for task in self.tasks:
                task.cancel()

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = Request(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id].body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            task = asyncio.ensure_future(self.answer_guarded(event.stream_id))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        elif isinstance(event, h2.events.StreamReset):
            self.gone.add(event.stream_id)
            self.room.set()
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            self.room.set()

    async def answer_guarded(self, stream):
        request = self.requests.pop(stream)
        over = self.upstreams.over
        self.upstreams.attempts.append(self.make_attempt(self.backend, *request.parts()))
        answer = self.upstreams.script.pop(0) if self.upstreams.script else {}
        try:
            await self.answer(stream, request.value(":method"), answer, over)
        except (h2.exceptions.ProtocolError, KeyError):
            if stream not in self.gone:
                raise
        self.flush()

    def reset(self, stream):
        self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self.flush()

    async def send(self, stream, data):
        while data:
            size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if size == 0:
                self.room.clear()
                await self.room.wait()
                continue
            self.h2.send_data(stream, data[:size])
            self.flush()
            data = data[size:]

    async def answer(self, stream, method, answer, over):
        fault = answer.get("fault")
        if fault == "reset":
            return self.reset(stream)
        if fault == "stall" and "pieces" not in answer:
            await over.wait()
            return self.reset(stream)
        status = answer.get("status", 200)
        body = answer["bytes"] if "bytes" in answer else b"{}"
        fields = [(":status", str(status))]
        for line in answer.get("headers", []):
            name, value = line.split(":", 1)
            fields.append((name.strip().lower(), value.strip()))
        if "pieces" not in answer and status not in (204, 304):
            fields.append(("content-length", str(len(body) + (1000 if fault == "cut" else 0))))
        has_body = method != "HEAD" and status not in (204, 304)
        self.h2.send_headers(stream, fields, end_stream=not has_body)
        self.flush()
        if not has_body:
            return
        for piece in answer.get("pieces", [body]):
            await asyncio.sleep(0.001 if "pieces" in answer else 0)  # each piece arrives by itself
            await self.send(stream, piece)
        if fault == "stall":
            await over.wait()
        if fault:
            await asyncio.sleep(0.005)
            return self.reset(stream)
        self.h2.end_stream(stream)
