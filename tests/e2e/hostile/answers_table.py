"""Hostile answers of a backend: name -> what it sends (bytes, or pieces sent one by one: a number is a pause, b"" the end of
the connection, None a reset).

REFUSED: the client gets a 502 and nothing of it. CUT: its head was good and is passed on, what follows is not, and the
client's message must not look like a whole one. SPOILT: the answer is good and is passed on, but the connection can't be
used again. REUSED: odd, but beyond doubt."""

OK = b"HTTP/1.1 200 OK\r\n"
POISON = b"HTTP/1.1 200 OK\r\nx-target: /poison\r\ncontent-length: 6\r\n\r\npoison"
END = b""


def answer(*lines, body=b"ok", first=b"HTTP/1.1 200 OK"):
    return b"\r\n".join([first, *lines]) + b"\r\n\r\n" + body


def sized(*lines, body=b"ok", first=b"HTTP/1.1 200 OK"):
    return answer(*lines, b"Content-Length: %d" % len(body), body=body, first=first)


def chunked(body):
    return answer(b"Transfer-Encoding: chunked", body=body)


GOOD = b"2\r\nok\r\n0\r\n\r\n"

REFUSED = {
    # framed twice, or by something that we cannot read
    "CL and TE": answer(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=GOOD),
    "TE and CL": answer(b"Transfer-Encoding: chunked", b"Content-Length: 2", body=GOOD),
    "two CLs": answer(b"Content-Length: 2", b"Content-Length: 8", body=b"ok" + POISON),
    "two CLs, the same": answer(b"Content-Length: 2", b"Content-Length: 2"),
    "CL list": answer(b"Content-Length: 2, 2"),
    "CL -1": answer(b"Content-Length: -1"),
    "CL +2": answer(b"Content-Length: +2"),
    "CL 0x2": answer(b"Content-Length: 0x2"),
    "CL empty": answer(b"Content-Length:"),
    "CL of 2^64": answer(b"Content-Length: 18446744073709551616"),
    "CL of 2^63": answer(b"Content-Length: 9223372036854775808"),
    "CL of letters": answer(b"Content-Length: two"),
    "CL with a blank inside": answer(b"Content-Length: 1 2"),
    "TE xchunked": answer(b"Transfer-Encoding: xchunked", body=GOOD),
    "TE gzip": answer(b"Transfer-Encoding: gzip", body=b"ok"),
    "TE gzip, chunked": answer(b"Transfer-Encoding: gzip, chunked", body=GOOD),
    "TE chunked twice": answer(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=GOOD),
    "TE with a vertical tab": answer(b"Transfer-Encoding: \x0bchunked", body=GOOD),
    "TE with a blank before the colon": answer(b"Transfer-Encoding : chunked", body=GOOD),
    "TE on HTTP/1.0": answer(b"Transfer-Encoding: chunked", body=GOOD, first=b"HTTP/1.0 200 OK"),
    # lines
    "bare LF": sized().replace(b"\r\n", b"\n"),
    "bare LF behind the first line": sized().replace(b"\r\n", b"\n", 1),
    "bare LF between fields": sized(b"X: a\nY: b"),
    "bare CR in a value": sized(b"X: a\rb"),
    "bare CR for all ends": sized().replace(b"\r\n", b"\r"),
    "CR CR LF": sized(b"X: a\r"),
    "head ended by LF LF": OK + b"Content-Length: 2\n\nok",
    "head ended by CR LF CR X": OK + b"Content-Length: 2\r\n\rXok",
    "NUL in a value": sized(b"X: a\0b"),
    "NUL in the reason": sized(first=b"HTTP/1.1 200 O\0K"),
    "control byte in a value": sized(b"X: a\x01b"),
    "DEL in a value": sized(b"X: a\x7fb"),
    "LF in the reason": sized(first=b"HTTP/1.1 200 O\nK: v"),
    "CR in the reason": sized(first=b"HTTP/1.1 200 O\rK"),
    "control byte in the reason": sized(first=b"HTTP/1.1 200 O\x01K"),
    "folded": sized(b"X: a\r\n b"),
    "name empty": sized(b": a"),
    "name with a blank": sized(b"X Y: a"),
    "name with a blank before the colon": sized(b"X : a"),
    "name with a bracket": sized(b"X(: a"),
    "line without a colon": sized(b"nothing"),
    "blank in front": b" " + sized(),
    # first lines
    "HTTP/0.9": b"<html>ok</html>" * 20,
    "status of two digits": sized(first=b"HTTP/1.1 20 OK"),
    "status of four digits": sized(first=b"HTTP/1.1 2000 OK"),
    "status 000": sized(first=b"HTTP/1.1 000 No"),
    "status 099": sized(first=b"HTTP/1.1 099 No"),
    "status -200": sized(first=b"HTTP/1.1 -200 No"),
    "status of letters": sized(first=b"HTTP/1.1 2x0 OK"),
    "status missing": sized(first=b"HTTP/1.1"),
    "status behind two blanks": sized(first=b"HTTP/1.1  200 OK"),
    "status behind a tab": sized(first=b"HTTP/1.1\t200 OK"),
    "status with a tab behind": sized(first=b"HTTP/1.1 200\tOK"),
    "HTTP/2.0": sized(first=b"HTTP/2.0 200 OK"),
    "HTTP/1.2": sized(first=b"HTTP/1.2 200 OK"),
    "HTTP/0.9 in the first line": sized(first=b"HTTP/0.9 200 OK"),
    "http/1.1": sized(first=b"http/1.1 200 OK"),
    "ICY": sized(first=b"ICY 200 OK"),
    "RTSP/1.0": sized(first=b"RTSP/1.0 200 OK"),
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "an HTTP/2 SETTINGS frame": b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x80",
    "101 that nobody asked for": answer(b"Connection: upgrade", b"Upgrade: websocket", body=POISON, first=b"HTTP/1.1 101 Switching Protocols"),
    "101 before the answer": answer(b"Upgrade: h2c", body=POISON, first=b"HTTP/1.1 101 No"),
    # sizes
    "head of 100 KB": sized(b"X: " + b"a" * 100000),
    "200 fields": sized(*[b"X-%d: 1" % i for i in range(200)]),
    "reason of 100 KB": sized(first=b"HTTP/1.1 200 " + b"a" * 100000),
    "1xx without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 20000,
    "1xx of 100 KB": b"HTTP/1.1 103 Early Hints\r\nLink: " + b"a" * 100000 + b"\r\n\r\n" + POISON,
    "1xx with a bad field": answer(b"X : 1", body=POISON, first=b"HTTP/1.1 103 Early Hints"),
    # ends
    "nothing": [END],
    "a reset": [None],
    "half a head": [OK + b"Content-Le", END],
    "half a first line": [b"HTTP/1.1 2", END],
    "a head without its empty line": [OK + b"Content-Length: 0\r\n", END],
    "only 100 (Continue)": [b"HTTP/1.1 100 Continue\r\n\r\n", END],
    "endless head, slowly": [OK] + [b"X-%d: %s\r\n" % (i, b"a" * 700) for i in range(120)],
}

CUT = {
    "body shorter than its length": [answer(b"Content-Length: 100", body=b"half"), END],
    "body shorter than its length, reset": [answer(b"Content-Length: 100", body=b"half"), 0.02, None],
    "no last chunk": [chunked(b"2\r\nok\r\n"), END],
    "half a chunk": [chunked(b"ff\r\nok"), END],
    "last chunk without its end": [chunked(b"2\r\nok\r\n0\r\n"), END],
    "chunk size of letters": [chunked(b"2\r\nok\r\n"), b"zz\r\nok\r\n0\r\n\r\n"],
    "chunk size with 0x": [chunked(b"2\r\nok\r\n"), b"0x2\r\nok\r\n0\r\n\r\n"],
    "chunk size that overflows": [chunked(b"2\r\nok\r\n"), b"10000000000000002\r\nok\r\n0\r\n\r\n"],
    "chunk size -1": [chunked(b"2\r\nok\r\n"), b"-1\r\nok\r\n0\r\n\r\n"],
    "chunk size ended by LF": [chunked(b"2\r\nok\r\n"), b"2\nok\r\n0\r\n\r\n"],
    "chunk data ended by LF": [chunked(b"2\r\nok\r\n"), b"2\r\nok\n0\r\n\r\n"],
    "chunk data longer than its size": [chunked(b"2\r\nok\r\n"), b"1\r\nok\r\n0\r\n\r\n"],
    "chunk extension of 100 KB": [chunked(b"2\r\nok\r\n"), b"2;" + b"a" * 100000 + b"\r\nok\r\n0\r\n\r\n"],
    "chunk extension with LF": [chunked(b"2\r\nok\r\n"), b"2;a\nb\r\nok\r\n0\r\n\r\n"],
    "trailer of 100 KB": [chunked(b"2\r\nok\r\n"), b"0\r\nX: " + b"a" * 100000 + b"\r\n\r\n"],
    "trailers without end": [chunked(b"2\r\nok\r\n"), b"0\r\n" + b"X: 1\r\n" * 1000 + b"\r\n"],
    "trailer with LF": [chunked(b"2\r\nok\r\n"), b"0\r\nX: a\nY: b\r\n\r\n"],
    "last chunk ended by LF": [chunked(b"2\r\nok\r\n"), b"0\n\n"],
}

SPOILT = {
    "an answer behind the answer": sized() + POISON,
    "an answer behind a chunked answer": chunked(GOOD) + POISON,
    "a body longer than its length": sized() + b"more",
    "an answer behind the answer, a moment later": [sized(), 0.01, POISON],
    "an empty line behind the answer": sized() + b"\r\n",
    "body on 204": answer(body=POISON, first=b"HTTP/1.1 204 No Content"),
    "body on 204, sized": sized(body=POISON, first=b"HTTP/1.1 204 No Content"),
    "body on 304": sized(body=POISON, first=b"HTTP/1.1 304 Not Modified"),
    "body on an answer of length 0": answer(b"Content-Length: 0", body=POISON),
    "Connection: close and more": sized(b"Connection: close") + POISON,
    "Connection: keep-alive, close": sized(b"Connection: keep-alive, close"),
    "two Connections, one of them close": sized(b"Connection: keep-alive", b"Connection: close"),
    "HTTP/1.0": sized(first=b"HTTP/1.0 200 OK"),
    "until the end of the connection": [answer(body=b"ok"), END],
    "until the end of the connection, what looks like an answer in it": [answer(body=b"ok" + POISON), END],
}

REUSED = {
    "100 (Continue) that nobody asked for": b"HTTP/1.1 100 Continue\r\n\r\n" + sized(),
    "ten 103s": b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * 10 + sized(),
    "no reason": sized(first=b"HTTP/1.1 200 "),
    "high bytes in the reason": sized(first=b"HTTP/1.1 200 \xe2\x82\xac"),
    "status 299": sized(first=b"HTTP/1.1 299 Odd"),
    "status 599": sized(first=b"HTTP/1.1 599 Odd"),
    "chunk extensions and trailers": chunked(b"2;a=b\r\nok\r\n0;c\r\nX-T: 1\r\nContent-Type: x\r\n\r\n"),
    "Connection names a field": sized(b"Connection: x-hop", b"X-Hop: 1"),
    "Keep-Alive, Proxy-Connection and Upgrade": sized(b"Keep-Alive: timeout=1", b"Proxy-Connection: close-not", b"Upgrade: h2c"),
    "one byte at a time": [bytes([byte]) for byte in sized(b"X: y")],
    "one byte at a time, chunked": [bytes([byte]) for byte in chunked(GOOD)],
}
