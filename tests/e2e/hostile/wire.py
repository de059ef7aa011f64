"""The two ends of a hostile conversation: a client's raw socket, and an upstream that notes every byte it is sent."""
import socket
import struct
import threading
import time

import vectors

NAMES = set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Client:
    def __init__(self, port, seconds=4):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.is_closed = False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused before its end
        return self

    def send_in_pieces(self, data, size):
        for at in range(0, len(data), size):
            self.send(data[at:at + size])
            time.sleep(0.0005)
        return self

    def more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.is_closed = self.is_closed or not piece
        self.data += piece
        return bool(piece)

    def take(self, count):
        while len(self.data) < count:
            if not self.more():
                raise EOFError(self.data[:300])
        found, self.data = self.data[:count], self.data[count:]
        return found

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                raise EOFError(self.data[:300])
        return self.take(self.data.index(mark) + len(mark))

    def answer(self, is_head=False):
        """The next answer, 1xx ones skipped -> (status, fields, body)."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status < 200:
            return self.answer(is_head)
        fields = {}
        for line in lines[1:-2]:
            name, value = line.split(": ", 1)
            fields.setdefault(name.lower(), []).append(value)
        return status, fields, b"" if is_head or status in (204, 304) else self._body(fields)

    def _body(self, fields):
        if "content-length" in fields:
            return self.take(int(fields["content-length"][0]))
        body = b""
        if "transfer-encoding" in fields:
            while size := int(self.until(b"\r\n"), 16):
                body += self.take(size + 2)[:-2]
            self.until(b"\r\n")
            return body
        while self.more():
            pass
        body, self.data = self.data, b""
        return body

    def ends(self):
        """True when the peer closes and says no more; what it still says stays in `data`."""
        try:
            while self.more():
                pass
        except TimeoutError:
            return False
        return not self.data

    def close(self):
        self.socket.close()


class Seen:
    """One request as the upstream read it, and what was wrong with its form."""

    def __init__(self, connection, head, body, faults):
        self.connection, self.head, self.body, self.faults = connection, head, body, faults
        line = head.split(b"\r\n", 1)[0].split(b" ")
        self.method, self.target = line[0], line[1] if len(line) > 1 else b""

    def values(self, name):
        lines = self.head.split(b"\r\n")[1:]
        return [line.split(b":", 1)[1].strip() for line in lines if line.lower().startswith(name.lower() + b":")]


class Upstream:
    """Accepts only what is beyond doubt, notes all of it, and answers as `answer(seen)` says (bytes, or a list of bytes
    sent one by one; None as the last: reset). By default it echoes the target it was asked for."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seen, self.junk, self.connections = [], [], 0
        self.answer = self.echo
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def echo(seen):
        if seen.method == b"HEAD":
            return b"HTTP/1.1 200 OK\r\nx-target: %s\r\ncontent-length: 0\r\n\r\n" % seen.target
        return b"HTTP/1.1 200 OK\r\nx-target: %s\r\ncontent-length: 2\r\n\r\nok" % seen.target

    def clear(self, answer=None):
        with self.lock:
            self.seen, self.junk = [], []
            self.answer = answer or self.echo

    def close(self):
        vectors.stop_accepting(self.sock)

    def _accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                number = self.connections
            threading.Thread(target=self._run, args=(connection, number), daemon=True).start()

    def _run(self, connection, number):
        data = b""
        with connection:
            while True:
                try:
                    piece = connection.recv(65536)
                except OSError:
                    piece = b""
                if not piece:
                    break
                data += piece
                while (request := self._request(number, data)) is not None:
                    seen, data = request
                    with self.lock:
                        self.seen.append(seen)
                        answer = self.answer
                    if not self._send(connection, answer(seen)):
                        return
        if data:
            with self.lock:
                self.junk.append(data)

    @staticmethod
    def _send(connection, pieces):
        try:
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                if piece is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                if piece == b"":  # the end of the connection
                    return False
                if isinstance(piece, float):
                    time.sleep(piece)
                    continue
                connection.sendall(piece)
                time.sleep(0.002)
        except OSError:
            return False
        return True

    @staticmethod
    def _request(number, data):
        """-> (Seen, the rest), or None when more bytes are needed."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, rest = data[:end + 2], data[end + 4:]
        faults = faults_of(head)
        lengths, codings = [], []
        for line in head.split(b"\r\n")[1:-1]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                lengths.append(value.strip())
            if name.strip().lower() == b"transfer-encoding":
                codings.append(value.strip())
        if len(lengths) + len(codings) > 1:
            faults.append("framed more than once")
        if codings:
            body = b""
            while True:
                size_line, mark, after = rest.partition(b"\r\n")
                if not mark:
                    return None
                size = int(size_line, 16)
                if len(after) < size + 2:
                    return None
                body, rest = body + after[:size], after[size + 2:]
                if size == 0:
                    return Seen(number, head, body, faults), rest
        length = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
        if len(rest) < length:
            return None
        return Seen(number, head, rest[:length], faults), rest[length:]


def faults_of(head):
    """What a strict reader would mind in a request head."""
    faults = []
    lines = head.split(b"\r\n")
    if any(byte < 0x20 and byte != 9 or byte == 0x7f for byte in head.replace(b"\r\n", b"")):
        faults.append("control byte")
    if lines[0].count(b" ") != 2 or not lines[0].endswith(b" HTTP/1.1"):
        faults.append("request line")
    for line in lines[1:-1]:
        name, colon, _ = line.partition(b":")
        if not colon or not name or any(byte not in NAMES for byte in name):
            faults.append(f"field line {line!r}")
    if sum(line.lower().startswith(b"host:") for line in lines) != 1:
        faults.append("Host")
    return faults
