"""A raw HTTP/1.1 client: it sends exactly what a case says and tells a complete answer from a cut one."""
import socket
import time


class Response:
    def __init__(self, status, headers, body, is_complete):
        self.status, self.headers, self.body, self.is_complete = status, headers, body, is_complete

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Reader:
    def __init__(self, sock):
        self.sock, self.data, self.is_over = sock, b"", False

    def more(self):
        try:
            piece = self.sock.recv(1 << 16)
        except ConnectionError:
            piece = b""
        self.is_over = not piece
        self.data += piece
        return not self.is_over

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                return None
        head, self.data = self.data.split(mark, 1)
        return head

    def exactly(self, count):
        """-> (bytes, whether they were all there)"""
        while len(self.data) < count and self.more():
            pass
        piece, self.data = self.data[:count], self.data[count:]
        return piece, len(piece) == count

    def chunked(self):
        body = b""
        while True:
            line = self.until(b"\r\n")
            if line is None:
                return body, False
            size = int(line.split(b";")[0], 16)
            if size == 0:
                return body, self.until(b"\r\n") is not None
            piece, is_whole = self.exactly(size)
            body += piece
            if not is_whole or not self.exactly(2)[1]:
                return body, False

    def rest(self):
        while self.more():
            pass
        return self.data, True


def read_response(sock, method="GET"):
    reader = Reader(sock)
    while True:
        head = reader.until(b"\r\n\r\n")
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status >= 200:
            break
    headers = [(name, value.strip()) for name, value in (line.split(":", 1) for line in lines[1:])]
    lower = {name.lower(): value for name, value in headers}
    if method == "HEAD" or status in (204, 304):
        body, is_complete = b"", True
    elif "chunked" in lower.get("transfer-encoding", ""):
        body, is_complete = reader.chunked()
    elif "content-length" in lower:
        body, is_complete = reader.exactly(int(lower["content-length"]))
    else:
        body, is_complete = reader.rest()
    return Response(status, headers, body, is_complete)


def send(port, request, body, extra_headers=(), timeout=20):
    """Sends a case's request on a connection of its own; `pieces` go out one by one in chunks."""
    method = request.get("method", "GET" if body is None else "POST")
    path, version = request.get("path", "/v1/chat/completions"), request.get("version", "1.1")
    lines = [f"{method} {path} HTTP/{version}", f"Host: {request.get('authority', 'localhost')}"]
    lines += list(request.get("headers", [])) + list(extra_headers)
    pieces = request.get("pieces")
    if pieces:
        lines.append("transfer-encoding: chunked")
    elif body is not None:
        lines.append(f"content-length: {len(body)}")
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        try:
            if pieces:
                sock.sendall(head)
                at = 0
                for size in [size for size in pieces if size] + [len(body)]:
                    piece = body[at:at + size]
                    at += len(piece)
                    if piece:
                        time.sleep(0.001)
                        sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                sock.sendall(b"0\r\n\r\n")
            else:
                sock.sendall(head + (body or b""))
        except ConnectionError:
            pass  # refused early, with an answer that is still there to read
        return read_response(sock, method)
