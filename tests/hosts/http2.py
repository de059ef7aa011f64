"""A client's HTTP/2 connection for tests: Python's h2, with its own checks switched off so that it can misbehave."""
import socket
import ssl
import struct
import time

import client
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

JSON = ("content-type", "application/json")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def head(method="POST", path="/v1/chat/completions", *fields, authority="localhost"):
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), *fields]


class Answer:
    def __init__(self):
        self.status, self.fields, self.body, self.informational = None, [], b"", []
        self.is_ended, self.reset = False, None

    def value(self, name):
        return next((value for key, value in self.fields if key == name), None)


class Http2:
    def __init__(self, port, seconds=5, window=None, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
            assert self.socket.selected_alpn_protocol() == "h2"
        self.socket.settimeout(seconds)
        self.seconds = seconds
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False))
        if window is not None:
            self.h2.local_settings = h2.settings.Settings(
                client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.answers = {}
        self.events = []
        self.goaway = None
        self.is_closed = False
        self.acknowledges = window is None
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def raw(self, data):
        self.flush()
        self.socket.sendall(data)

    def answer(self, stream):
        return self.answers.setdefault(stream, Answer())

    def request(self, fields, body=None, end=True):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields, end_stream=end and body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def upload(self, stream, body, sizes=()):
        """A body in pieces of these sizes and then as large as the windows allow; ends early when the answer does."""
        at, sizes, answer = 0, list(sizes), self.answer(stream)
        while not answer.is_ended and answer.reset is None:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body) - at)
            if room == 0 and at < len(body):
                if not self.read():
                    return
                continue
            size = min(room, sizes.pop(0)) if sizes else room
            self.h2.send_data(stream, body[at:at + size], end_stream=at + size == len(body))
            self.flush()
            at += size
            if at == len(body):
                return

    def read(self):
        """One read of the socket, its events taken in; False when the connection is closed."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.is_closed = True
            return False
        for event in self.h2.receive_data(data):
            self.take(event)
        self.flush()
        return True

    def take(self, event):
        self.events.append(event)
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN  # streams may still end
        if getattr(event, "stream_id", None) is None:
            return
        answer = self.answer(event.stream_id)
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.informational.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.fields = list(event.headers)
            answer.status = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if self.acknowledges:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif event.flow_controlled_length:
                self.h2.increment_flow_control_window(event.flow_controlled_length)  # the connection's alone
        elif isinstance(event, h2.events.StreamEnded):
            answer.is_ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)

    def until(self, condition, seconds=None):
        end = time.monotonic() + (seconds or self.seconds)
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing came")
            self.socket.settimeout(left)
            if not self.read():
                return condition()
        return True

    def finish(self, stream, seconds=None):
        """The answer of a stream, whole or reset."""
        answer = self.answer(stream)
        self.until(lambda: answer.is_ended or answer.reset is not None, seconds)
        return answer

    def ask(self, fields, body=None):
        return self.finish(self.request(fields, body))

    def ends(self, seconds=None):
        """The error code of GOAWAY once the connection has been closed by the other side; None without a GOAWAY."""
        end = time.monotonic() + (seconds or self.seconds)
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                if not self.read():
                    return self.goaway
            except (h2.exceptions.ProtocolError, BrokenPipeError):
                continue

    def close(self):
        self.socket.close()


HTTP1_ONLY = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")


def send(port, request, body, extra_headers=(), timeout=20):
    """A case's request over HTTP/2, as client.send does it over HTTP/1.1; None where only HTTP/1 can say it."""
    fields = [line.split(":", 1) for line in [*request.get("headers", []), *extra_headers]]
    fields = [(name.strip().lower(), value.strip()) for name, value in fields]
    if request.get("version", "1.1") != "1.1" or any(name in HTTP1_ONLY for name, _ in fields):
        return None
    method = request.get("method", "GET" if body is None else "POST")
    if body is not None and not request.get("pieces"):
        fields.append(("content-length", str(len(body))))
    connection = Http2(port, timeout)
    try:
        stream = connection.request(head(method, request.get("path", "/v1/chat/completions"), *fields,
                                         authority=request.get("authority", "localhost")), end=body is None)
        if body is not None:
            connection.upload(stream, body, [size for size in request.get("pieces") or [] if size])
        answer = connection.finish(stream)
        return client.Response(answer.status, answer.fields, answer.body, answer.is_ended)
    finally:
        connection.close()
