"""Hostile requests (RFC 9110, RFC 9112, and the classes of request smuggling): name -> (bytes, status).

REFUSED: the answer has this status (or one of these) and is the only one, the connection is closed after it, and no
backend sees a request. DECLINED: refused too, but where its bytes end is beyond doubt, so that the connection may go on:
what follows is read as the next request. FORWARDED: odd but beyond doubt; it is served once, the backend gets it in
canonical form, and what follows on the connection is read as the next request.
PATH stands for the target; the same table runs against a model endpoint and against a plain route."""

BODY = b'{"model":"other","messages":[]}'
SIZE = len(BODY)
SMUGGLED = b"GET /plain/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
JSON = b"Content-Type: application/json"
PATH = b"PATH"


def head(*lines, first=b"POST PATH HTTP/1.1", host=b"Host: a"):
    return b"\r\n".join([first, *([host] if host else []), JSON, *lines]) + b"\r\n\r\n"


def post(*lines, body=BODY, **more):
    """A request whose body is framed by `lines`, with a second request behind it."""
    return head(*lines, **more) + body + SMUGGLED


def sized(*lines, **more):
    """The same with an honest content-length: only `lines` are odd."""
    return post(*lines, b"Content-Length: %d" % SIZE, **more)


def get(target, *lines, version=b"HTTP/1.1", method=b"GET", host=b"Host: a"):
    return b"\r\n".join([b" ".join([method, target, version]), *([host] if host else []), *lines]) + b"\r\n\r\n" + SMUGGLED


def chunk(data, extension=b"", end=b"\r\n"):
    return b"%x%s\r\n%s%s" % (len(data), extension, data, end)


CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
WHOLE = chunk(BODY) + LAST


def chunked(body, *lines):
    return post(CHUNKED, *lines, body=body)


LENGTH = b"Content-Length: %d" % SIZE

FRAMING = {
    # CL.TE and TE.CL in both orders, and with a length that fits either reading
    "CL.TE": (post(b"Content-Length: 6", CHUNKED, body=b"0\r\n\r\nG"), 400),
    "TE.CL": (post(CHUNKED, b"Content-Length: 4", body=b"5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"), 400),
    "CL.TE of length 0": (post(b"Content-Length: 0", CHUNKED, body=WHOLE), 400),
    "CL.TE that agree": (post(b"Content-Length: %d" % len(WHOLE), CHUNKED, body=WHOLE), 400),
    "CL.TE with a field between": (post(b"Content-Length: 6", b"X-A: 1", CHUNKED, body=b"0\r\n\r\nG"), 400),
    "CL with unknown TE": (post(LENGTH, b"Transfer-Encoding: gzip"), (400, 501)),
    "CL with TE identity": (post(LENGTH, b"Transfer-Encoding: identity"), (400, 501)),
    "CL with empty TE": (post(LENGTH, b"Transfer-Encoding:"), (400, 501)),
    # transfer-encoding, spelt so that one reader sees it and the next does not
    "TE.TE chunked twice in one field": (post(b"Transfer-Encoding: chunked, chunked", body=WHOLE), (400, 501)),
    "TE.TE chunked in two fields": (post(CHUNKED, CHUNKED, body=WHOLE), (400, 501)),
    "TE.TE chunked and identity": (post(CHUNKED, b"Transfer-Encoding: identity", body=WHOLE), (400, 501)),
    "TE.TE identity and chunked": (post(b"Transfer-Encoding: identity", CHUNKED, body=WHOLE), (400, 501)),
    "TE gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked", body=WHOLE), 501),
    "TE gzip and chunked in two fields": (post(b"Transfer-Encoding: gzip", CHUNKED, body=WHOLE), (400, 501)),
    "TE chunked, gzip": (post(b"Transfer-Encoding: chunked, gzip", body=WHOLE), (400, 501)),
    "TE with an empty element": (post(b"Transfer-Encoding: ,chunked", body=WHOLE), (400, 501)),
    "TE with an empty last element": (post(b"Transfer-Encoding: chunked,", body=WHOLE), (400, 501)),
    "TE quoted": (post(b'Transfer-Encoding: "chunked"', body=WHOLE), (400, 501)),
    "TE with a parameter": (post(b"Transfer-Encoding: chunked;q=1", body=WHOLE), (400, 501)),
    "TE chunkedX": (post(b"Transfer-Encoding: chunkedX", body=WHOLE), (400, 501)),
    "TE chunk": (post(b"Transfer-Encoding: chunk", body=WHOLE), (400, 501)),
    "TE chunked with a blank inside": (post(b"Transfer-Encoding: chun ked", body=WHOLE), (400, 501)),
    "TE with a form feed": (post(b"Transfer-Encoding: \x0cchunked", body=WHOLE), 400),
    "TE with a vertical tab behind": (post(b"Transfer-Encoding: chunked\x0b", body=WHOLE), 400),
    "TE with NUL behind": (post(b"Transfer-Encoding: chunked\0", body=WHOLE), 400),
    "TE with a no-break space": (post(b"Transfer-Encoding: \xa0chunked", body=WHOLE), (400, 501)),
    "TE with 0xff": (post(b"Transfer-Encoding: \xffchunked", body=WHOLE), (400, 501)),
    "TE folded": (post(b"Transfer-Encoding:\r\n chunked", body=WHOLE), 400),
    "TE folded by a tab": (post(b"Transfer-Encoding:\r\n\tchunked", body=WHOLE), 400),
    "TE behind a folded field": (post(b"X: y\r\n Transfer-Encoding: chunked", body=WHOLE), 400),
    "TE behind a bare LF": (post(b"X: y\nTransfer-Encoding: chunked", body=WHOLE), 400),
    "TE behind a bare CR": (post(b"X: y\rTransfer-Encoding: chunked", body=WHOLE), 400),
    "TE behind LF CR": (post(b"X: y\n\rTransfer-Encoding: chunked", body=WHOLE), 400),
    "TE behind CR CR LF": (post(b"X: y\r\r\nTransfer-Encoding: chunked", body=WHOLE), 400),
    "TE behind a blank": (head(b" Transfer-Encoding: chunked") + WHOLE + SMUGGLED, 400),
    "TE with a blank before the colon": (post(b"Transfer-Encoding : chunked", body=WHOLE), 400),
    "TE with a tab before the colon": (post(b"Transfer-Encoding\t: chunked", body=WHOLE), 400),
    "TE with NUL in the name": (post(b"Transfer\0-Encoding: chunked", body=WHOLE), 400),
    "TE with a semicolon for the colon": (post(b"Transfer-Encoding; chunked", body=WHOLE), 400),
    "TE as first line with a blank": (b"POST PATH HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n" + WHOLE + SMUGGLED, 400),
    "TE on HTTP/1.0": (post(CHUNKED, body=WHOLE, first=b"POST PATH HTTP/1.0"), 400),
    "TE on HTTP/1.0 with CL": (post(CHUNKED, LENGTH, body=WHOLE, first=b"POST PATH HTTP/1.0"), 400),
    # content-length
    "CL twice, the same": (post(LENGTH, LENGTH), 400),
    "CL twice, different": (post(b"Content-Length: 0", LENGTH), 400),
    "CL three times": (post(LENGTH, b"X: 1", LENGTH, LENGTH), 400),
    "CL list": (post(b"Content-Length: %d, %d" % (SIZE, SIZE)), 400),
    "CL list of different ones": (post(b"Content-Length: 0, %d" % SIZE), 400),
    "CL +": (post(b"Content-Length: +%d" % SIZE), 400),
    "CL -1": (post(b"Content-Length: -1"), 400),
    "CL -0": (post(b"Content-Length: -0"), 400),
    "CL hexadecimal": (post(b"Content-Length: 0x%x" % SIZE), 400),
    "CL with an underscore": (post(b"Content-Length: 3_1"), 400),
    "CL with a point": (post(b"Content-Length: 31.0"), 400),
    "CL with an exponent": (post(b"Content-Length: 3e1"), 400),
    "CL quoted": (post(b'Content-Length: "31"'), 400),
    "CL with a blank inside": (post(b"Content-Length: 3 1"), 400),
    "CL with a parameter": (post(b"Content-Length: 31;a"), 400),
    "CL empty": (post(b"Content-Length:"), 400),
    "CL of a blank": (post(b"Content-Length:  "), 400),
    "CL with a comma": (post(b"Content-Length: 31,"), 400),
    "CL with NUL": (post(b"Content-Length: 31\0"), 400),
    "CL with a vertical tab": (post(b"Content-Length: \x0b31"), 400),
    "CL in full-width digits": (post("Content-Length: \uff13\uff11".encode()), 400),
    "CL 2^63": (post(b"Content-Length: 9223372036854775808"), 400),
    "CL 2^64": (post(b"Content-Length: 18446744073709551616"), 400),
    "CL 2^64 + 31": (post(b"Content-Length: 18446744073709551647"), 400),
    "CL of 60 digits": (post(b"Content-Length: " + b"9" * 60), 400),
    "CL folded": (post(b"Content-Length:\r\n 31"), 400),
    "CL with a blank before the colon": (post(b"Content-Length : 31"), 400),
    "CL behind a bare CR": (post(b"X: y\rContent-Length: 31"), 400),
    "0.CL: a length that is hidden by a blank line of its own": (head(b"X: y\n") + BODY + SMUGGLED, 400),
}

CHUNKS = {
    "size with 0x": (chunked(b"0x1f\r\n" + BODY + b"\r\n" + LAST), 400),
    "size with +": (chunked(b"+1f\r\n" + BODY + b"\r\n" + LAST), 400),
    "size with -": (chunked(b"-1\r\n" + BODY + b"\r\n" + LAST), 400),
    "size with a blank in front": (chunked(b" 1f\r\n" + BODY + b"\r\n" + LAST), 400),
    "size with a tab in front": (chunked(b"\t1f\r\n" + BODY + b"\r\n" + LAST), 400),
    "size with an underscore": (chunked(b"1_f\r\n" + BODY + b"\r\n" + LAST), 400),
    "size with a letter beyond f": (chunked(b"1g\r\n" + BODY + b"\r\n" + LAST), 400),
    "size quoted": (chunked(b'"1f"\r\n' + BODY + b"\r\n" + LAST), 400),
    "size empty": (chunked(b"\r\n" + BODY + b"\r\n" + LAST), 400),
    "size of an extension alone": (chunked(b";a=b\r\n" + BODY + b"\r\n" + LAST), 400),
    "size of 16 f": (chunked(b"ffffffffffffffff\r\n" + BODY + b"\r\n" + LAST), (400, 413)),
    "size of 17 digits": (chunked(b"10000000000000000\r\n" + BODY + b"\r\n" + LAST), 400),
    "size that wraps to the right one": (chunked(b"1000000000000001f\r\n" + BODY + b"\r\n" + LAST), 400),
    "size with NUL": (chunked(b"1f\0\r\n" + BODY + b"\r\n" + LAST), 400),
    "size in UTF-8": (chunked("\uff11f\r\n".encode() + BODY + b"\r\n" + LAST), 400),
    "size ended by LF": (chunked(b"1f\n" + BODY + b"\r\n" + LAST), 400),
    "size ended by CR": (chunked(b"1f\r" + BODY + b"\r\n" + LAST), 400),
    "size ended by CR CR LF": (chunked(b"1f\r\r\n" + BODY + b"\r\n" + LAST), 400),
    "size ended by CR X": (chunked(b"1f\rX" + BODY + b"\r\n" + LAST), 400),
    "last size ended by LF": (chunked(chunk(BODY) + b"0\n\n"), 400),
    "last size ended by CR LF LF": (chunked(chunk(BODY) + b"0\r\n\n"), 400),
    "data longer than its size": (chunked(b"5\r\n" + BODY + b"\r\n" + LAST), 400),
    "data shorter than its size": (chunked(b"20\r\n" + BODY + b"\r\n" + LAST), 400),
    "data without an end": (chunked(chunk(BODY, end=b"") + LAST), 400),
    "data ended by LF": (chunked(chunk(BODY, end=b"\n") + LAST), 400),
    "data ended by CR": (chunked(chunk(BODY, end=b"\r") + LAST), 400),
    "data ended by two bytes that are no CR LF": (chunked(chunk(BODY, end=b"XX") + LAST), 400),
    "data ended by CR CR LF": (chunked(chunk(BODY, end=b"\r\r\n") + LAST), 400),
    "data ended by LF CR": (chunked(chunk(BODY, end=b"\n\r") + LAST), 400),
    "extension with LF": (chunked(chunk(BODY, b";a\nb") + LAST), 400),
    "extension with CR": (chunked(chunk(BODY, b";a\rb") + LAST), 400),
    "extension with NUL": (chunked(chunk(BODY, b";a\0b") + LAST), 400),
    "extension with an end of line in quotes": (chunked(chunk(BODY, b';a="\r\n0\r\n\r\n') + LAST), 400),
    "extension with LF in quotes": (chunked(chunk(BODY, b';a="\n"') + LAST), 400),
    "extension with a bare quote": (chunked(chunk(BODY, b';a="b') + LAST), 400),
    "extension with a blank before the semicolon": (chunked(chunk(BODY, b" ;a") + LAST), 400),
    "extension of 400 bytes": (chunked(chunk(BODY, b";" + b"a" * 400) + LAST), 400),
    "extension of 64 KiB": (chunked(chunk(BODY, b";" + b"a" * 65536) + LAST), 400),
    "extension on the last chunk with LF": (chunked(chunk(BODY) + b"0;a\nX: y\r\n\r\n"), 400),
    "size with blanks behind": (chunked(chunk(BODY, b"  ") + LAST), 400),
    "size with a tab behind": (chunked(chunk(BODY, b"\t") + LAST), 400),
    "trailer with a bare LF": (chunked(chunk(BODY) + b"0\r\nX: y\nZ: 1\r\n\r\n"), 400),
    "trailer with a bare CR": (chunked(chunk(BODY) + b"0\r\nX: y\rZ: 1\r\n\r\n"), 400),
    "trailer with NUL": (chunked(chunk(BODY) + b"0\r\nX: \0\r\n\r\n"), 400),
    "trailer without a colon": (chunked(chunk(BODY) + b"0\r\nX y\r\n\r\n"), 400),
    "trailer folded": (chunked(chunk(BODY) + b"0\r\nX: y\r\n z\r\n\r\n"), 400),
    "trailer with a blank before the colon": (chunked(chunk(BODY) + b"0\r\nX : y\r\n\r\n"), 400),
    "trailer that is a request": (chunked(chunk(BODY) + b"0\r\nGET /plain/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"), 400),
    "trailer of content-length": (chunked(chunk(BODY) + b"0\r\nContent-Length: 50\r\n\r\n"), 400),
    "trailer of transfer-encoding": (chunked(chunk(BODY) + b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
    "trailer fields without end": (chunked(chunk(BODY) + b"0\r\n" + b"X: y\r\n" * 200 + b"\r\n"), 431),
    "trailer of 70 KB": (chunked(chunk(BODY) + b"0\r\nX: " + b"y" * 70000 + b"\r\n\r\n"), 431),
    "trailers ended by LF": (chunked(chunk(BODY) + b"0\r\nX: y\r\n\n"), 400),
}


def control_bytes():
    cases = {}
    for byte in [*range(0x00, 0x09), *range(0x0a, 0x20), 0x7f]:
        cases[f"value with 0x{byte:02x}"] = (sized(b"X: a%cb" % byte), 400)
    for byte in [0x00, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1b, 0x20, 0x7f, 0x80, 0xff, *b'()/<>?@[]{}\\,;"=']:
        cases[f"name with 0x{byte:02x}"] = (sized(b"X%cY: 1" % byte), 400)
    for byte in [0x00, 0x01, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1f, 0x7f, 0x80, 0xff]:
        cases[f"target with 0x{byte:02x}"] = (get(b"PATH%ca" % byte), 400)
        cases[f"query with 0x{byte:02x}"] = (get(b"PATH?%ca" % byte), 400)
        cases[f"method with 0x{byte:02x}"] = (get(b"PATH", method=b"G%cET" % byte), 400)
        cases[f"Host with 0x{byte:02x}"] = (get(b"PATH", host=b"Host: a%cb" % byte), 400)
    return cases


LINES = control_bytes() | {
    "name empty": (sized(b": value"), 400),
    "name of a blank": (sized(b" : value"), 400),
    "line without a colon": (sized(b"nothing"), 400),
    "name with a blank behind": (sized(b"X-A : 1"), 400),
    "name with two blanks behind": (sized(b"X-A  : 1"), 400),
    "folded by a blank": (sized(b"X: a\r\n b"), 400),
    "folded by a tab": (sized(b"X: a\r\n\tb"), 400),
    "folded to nothing": (sized(b"X: a\r\n "), 400),
    "first line is a fold": (b"POST PATH HTTP/1.1\r\n X: y\r\nHost: a\r\n" + LENGTH + b"\r\n\r\n" + BODY + SMUGGLED, 400),
    "all lines ended by LF": (sized().replace(b"\r\n", b"\n"), 400),
    "all lines ended by CR": (sized().replace(b"\r\n", b"\r"), 400),
    "one line ended by LF": (sized(b"X: a\nY: b"), 400),
    "request line ended by LF": (sized().replace(b"1.1\r\n", b"1.1\n", 1), 400),
    "request line ended by CR": (sized().replace(b"1.1\r\n", b"1.1\r", 1), 400),
    "request line ended by CR CR LF": (sized().replace(b"1.1\r\n", b"1.1\r\r\n", 1), 400),
    "head ended by LF LF": (b"GET PATH HTTP/1.1\r\nHost: a\n\n" + SMUGGLED, 400),
    "head ended by CR LF LF": (b"GET PATH HTTP/1.1\r\nHost: a\r\n\n" + SMUGGLED, 400),
    "head ended by CR LF CR X": (b"GET PATH HTTP/1.1\r\nHost: a\r\n\rX" + SMUGGLED, 400),
    "head ended by CR LF CR CR LF": (b"GET PATH HTTP/1.1\r\nHost: a\r\n\r\r\n" + SMUGGLED, 400),
    "head ended by LF CR LF": (b"GET PATH HTTP/1.1\r\nHost: a\n\r\n" + SMUGGLED, 400),
    "100 fields and one more": (sized(*[b"X-%d: 1" % i for i in range(98)]), 431),
    "head of 61 KiB": (sized(b"X: " + b"a" * 61440), 431),
    "field name of 64 KiB": (sized(b"X" * 65536 + b": 1"), 431),
    "a megabyte without an end of line": (b"GET PATH HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1000000, 431),
    "a megabyte of method": (b"A" * 1000000, 400),
    "a megabyte of blanks": (b" " * 1000000, 400),
}

HOSTS = {
    "no Host": (get(b"PATH", host=b""), 400),
    "Host empty": (get(b"PATH", host=b"Host:"), 400),
    "Host of blanks": (get(b"PATH", host=b"Host:   "), 400),
    "Host twice": (get(b"PATH", b"Host: b"), 400),
    "Host twice, the same": (get(b"PATH", b"Host: a"), 400),
    "Host twice, another case": (get(b"PATH", b"hOST: a"), 400),
    "Host and a blank before the colon": (get(b"PATH", b"Host : b"), 400),
    "Host folded": (get(b"PATH", host=b"Host:\r\n a"), 400),
    "Host list": (get(b"PATH", host=b"Host: a, b"), 400),
    "Host of two": (get(b"PATH", host=b"Host: a b"), 400),
    "Host with a path": (get(b"PATH", host=b"Host: a/plain"), 400),
    "Host with user information": (get(b"PATH", host=b"Host: user@a"), 400),
    "Host with a scheme": (get(b"PATH", host=b"Host: http://a"), 400),
    "Host with a fragment": (get(b"PATH", host=b"Host: a#b"), 400),
    "Host with a query": (get(b"PATH", host=b"Host: a?b"), 400),
    "Host with a port of letters": (get(b"PATH", host=b"Host: a:http"), 400),
    "Host with two ports": (get(b"PATH", host=b"Host: a:80:81"), 400),
    "Host with a negative port": (get(b"PATH", host=b"Host: a:-1"), 400),
    "Host with port 65536": (get(b"PATH", host=b"Host: a:65536"), 400),
    "Host with a port of 20 digits": (get(b"PATH", host=b"Host: a:" + b"1" * 20), 400),
    "Host of a port alone": (get(b"PATH", host=b"Host: :80"), 400),
    "Host with an open bracket": (get(b"PATH", host=b"Host: [::1"), 400),
    "Host with a closing bracket": (get(b"PATH", host=b"Host: ::1]"), 400),
    "Host with text behind the bracket": (get(b"PATH", host=b"Host: [::1]a"), 400),
    "Host with empty brackets": (get(b"PATH", host=b"Host: []"), 400),
    "Host of a bare IPv6 address": (get(b"PATH", host=b"Host: ::1"), 400),
    "Host with a percent sign alone": (get(b"PATH", host=b"Host: a%zz"), 400),
    "Host with a backslash": (get(b"PATH", host=b"Host: a\\b"), 400),
    "Host with braces": (get(b"PATH", host=b"Host: {a}"), 400),
    "Host of 2000 bytes": (get(b"PATH", host=b"Host: " + b"a" * 2000), 400),
    "absolute target with user information": (get(b"http://user@a/plain/x"), 400),
    "absolute target without a host": (get(b"http:///plain/x"), 400),
    "absolute target with a bad port": (get(b"http://a:x/plain/x"), 400),
    "absolute target of another scheme": (get(b"ftp://a/plain/x"), 400),
    "absolute target of file": (get(b"file:///etc/passwd"), 400),
    "absolute target with one slash": (get(b"http:/a/plain/x"), 400),
    "absolute target without slashes": (get(b"http:a/plain/x"), 400),
    "absolute target and no Host": (get(b"http://a/plain/x", host=b""), 400),
    "absolute target and two Hosts": (get(b"http://a/plain/x", b"Host: b"), 400),
    "absolute target and a bad Host": (get(b"http://a/plain/x", host=b"Host: a b"), 400),
}

TARGETS = {
    "target empty": (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "target without a slash": (get(b"plain/x"), 400),
    "target of a query": (get(b"?plain"), 400),
    "target of a backslash": (get(b"\\plain"), 400),
    "target with a fragment": (get(b"PATH#top"), 400),
    "target with a blank": (get(b"PATH x"), 400),
    "target of *": (get(b"*"), 400),
    "target of * and more": (get(b"*/plain", method=b"OPTIONS"), 400),
    "target as authority": (get(b"a:80"), 400),
    "target of 9 KB": (get(b"/plain/" + b"a" * 9000), 414),
    "target of 100 KB": (get(b"/plain/" + b"a" * 100000), 414),
    "query of 9 KB": (get(b"/plain/?" + b"a" * 9000), 414),
}

FIRST_LINES = {
    "method lower case": (get(b"PATH", method=b"get"), (400, 405, 501)),
    "method unknown": (get(b"PATH", method=b"BREW"), (400, 405, 501)),
    "method empty": (b" PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "method in quotes": (get(b"PATH", method=b'"GET"'), 400),
    "method with a colon": (get(b"PATH", method=b"GET:"), 400),
    "method that begins another": (get(b"PATH", method=b"GE"), (400, 405, 501)),
    "method of two words": (get(b"PATH", method=b"GET GET"), 400),
    "TRACK": (get(b"PATH", method=b"TRACK"), (400, 405, 501)),
    "CONNECT": (get(b"a:80", method=b"CONNECT"), 405),
    "CONNECT with a path": (get(b"PATH", method=b"CONNECT"), (400, 405)),
    "CONNECT with a body": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n" + LENGTH + b"\r\n\r\n" + BODY + SMUGGLED, 405),
    "PRI": (get(b"*", method=b"PRI"), (400, 405, 505)),
    "RTSP method": (get(b"PATH", method=b"DESCRIBE", version=b"RTSP/1.0"), (400, 405, 505)),
    "ICE method": (get(b"PATH", method=b"SOURCE", version=b"ICE/1.0"), (400, 405, 505)),
    "RTSP version": (get(b"PATH", version=b"RTSP/1.0"), (400, 505)),
    "version HTTP/1.2": (get(b"PATH", version=b"HTTP/1.2"), 505),
    "version HTTP/1.9": (get(b"PATH", version=b"HTTP/1.9"), 505),
    "version HTTP/0.9": (get(b"PATH", version=b"HTTP/0.9"), 505),
    "version HTTP/2.0": (get(b"PATH", version=b"HTTP/2.0"), 505),
    "version HTTP/2": (get(b"PATH", version=b"HTTP/2"), (400, 505)),
    "version HTTP/3.0": (get(b"PATH", version=b"HTTP/3.0"), 505),
    "version HTTP/9.9": (get(b"PATH", version=b"HTTP/9.9"), 505),
    "version HTTP/1.10": (get(b"PATH", version=b"HTTP/1.10"), (400, 505)),
    "version HTTP/1.01": (get(b"PATH", version=b"HTTP/1.01"), (400, 505)),
    "version HTTP/01.1": (get(b"PATH", version=b"HTTP/01.1"), (400, 505)),
    "version HTTP/11": (get(b"PATH", version=b"HTTP/11"), (400, 505)),
    "version HTTP/1,1": (get(b"PATH", version=b"HTTP/1,1"), (400, 505)),
    "version HTTP/1.": (get(b"PATH", version=b"HTTP/1."), (400, 505)),
    "version HTTP/.1": (get(b"PATH", version=b"HTTP/.1"), (400, 505)),
    "version HTTP/-1.1": (get(b"PATH", version=b"HTTP/-1.1"), (400, 505)),
    "version HTTP/1.1 and a letter": (get(b"PATH", version=b"HTTP/1.1x"), (400, 505)),
    "version HTTP /1.1": (get(b"PATH", version=b"HTTP /1.1"), (400, 505)),
    "version http/1.1": (get(b"PATH", version=b"http/1.1"), (400, 505)),
    "version HTTPS/1.1": (get(b"PATH", version=b"HTTPS/1.1"), (400, 505)),
    "version HTP/1.1": (get(b"PATH", version=b"HTP/1.1"), (400, 505)),
    "version 1.1": (get(b"PATH", version=b"1.1"), (400, 505)),
    "version followed by a blank": (get(b"PATH", version=b"HTTP/1.1 "), 400),
    "version followed by a tab": (get(b"PATH", version=b"HTTP/1.1\t"), 400),
    "version followed by a word": (get(b"PATH", version=b"HTTP/1.1 x"), 400),
    "no version (HTTP/0.9)": (b"GET PATH\r\n\r\n" + SMUGGLED, (400, 505)),
    "no version and fields": (b"GET PATH\r\nHost: a\r\n\r\n" + SMUGGLED, (400, 505)),
    "method alone": (b"GET\r\n\r\n" + SMUGGLED, 400),
    "two blanks before the target": (b"GET  PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "two blanks before the version": (b"GET PATH  HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "tab before the target": (b"GET\tPATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "tab before the version": (b"GET PATH\tHTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "form feed before the version": (b"GET PATH\x0cHTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "blank in front": (b" GET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "tab in front": (b"\tGET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "NUL in front": (b"\0GET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "byte order mark in front": (b"\xef\xbb\xbfGET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "bare LF in front": (b"\nGET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "bare CR in front": (b"\rGET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "three empty lines in front": (b"\r\n\r\n\r\nGET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "10,000 empty lines in front": (b"\r\n" * 10000 + b"GET PATH HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED, 400),
    "an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + SMUGGLED, 400),
    "HTTP/2 preface, its end wrong": (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + SMUGGLED, (400, 505)),
    "HTTP/2 preface with a field": (b"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n" + SMUGGLED, (400, 505)),
    "HTTP/2 preface in HTTP/1.1": (b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n" + SMUGGLED, (400, 405, 505)),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, 400),
    "an SSH banner": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    "PROXY protocol that nobody asked for": (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + sized(), (400, 405)),
    "PROXY protocol v2 that nobody asked for": (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\1" * 12 + sized(), 400),
    "Expect of something else": (sized(b"Expect: 200-ok"), 417),
    "Expect of two": (sized(b"Expect: 100-continue, 200-ok"), 417),
    "Expect twice": (sized(b"Expect: 100-continue", b"Expect: 200-ok"), 417),
    "Expect with a parameter": (sized(b"Expect: 100-continue;a=b"), 417),
    "Expect empty": (sized(b"Expect:"), 417),
    "Upgrade to websocket": (get(b"PATH", b"Connection: upgrade", b"Upgrade: websocket"), (405, 501)),
    "Upgrade to websocket with a body": (sized(b"Connection: upgrade", b"Upgrade: websocket"), 501),
    "Upgrade of two": (get(b"PATH", b"Connection: upgrade", b"Upgrade: h2c, websocket"), (405, 501)),
    "Upgrade in two fields": (get(b"PATH", b"Connection: upgrade", b"Upgrade: h2c", b"Upgrade: websocket"), (405, 501)),
    "Upgrade to TLS": (get(b"PATH", b"Connection: upgrade", b"Upgrade: TLS/1.2"), (405, 501)),
}

DECLINED = {
    "target with a backslash": (get(b"PATH\\..\\admin"), 400),
    "target with <": (get(b"PATH<x"), 400),
    "target with a quote": (get(b'PATH"x'), 400),
    "target with a percent sign at the end": (get(b"PATH%"), 400),
    "target with one digit": (get(b"PATH%4"), 400),
    "target with a percent sign and no digits": (get(b"PATH%zz"), 400),
    "target with %00": (get(b"PATH%00"), 400),
    "target with %0a": (get(b"PATH%0aX"), 400),
    "target with %0d%0a": (get(b"PATH%0d%0aX:%20y"), 400),
    "target with %7f": (get(b"PATH%7f"), 400),
    "target with ..": (get(b"/plain/../v1/models"), 400),
    "target that ends in ..": (get(b"/plain/a/.."), 400),
    "target with .": (get(b"/plain/./a"), 400),
    "target with .. escaped": (get(b"/plain/%2e%2e/v1/models"), 400),
    "target with .. half escaped": (get(b"/plain/.%2E/v1/models"), 400),
    "target with ..; parameters": (get(b"/plain/..;a=b/v1/models"), 400),
    "target with .. escaped and parameters": (get(b"/plain/%2e%2e;/v1/models"), 400),
    "target with .. and an escaped slash": (get(b"/plain/..%2fv1/models"), 400),
    "target with .. and an escaped backslash": (get(b"/plain/..%5cv1/models"), 400),
    "absolute target with ..": (get(b"http://a/plain/../v1/models"), 400),
    "TRACE": (get(b"PATH", method=b"TRACE"), (405, 501)),
}

REFUSED = {f"{kind}: {name}": case for kind, table in
           [("framing", FRAMING), ("chunks", CHUNKS), ("lines", LINES), ("hosts", HOSTS), ("targets", TARGETS), ("first lines", FIRST_LINES)]
           for name, case in table.items()}

# Served once; what the backend gets is checked for its form, and these fields of it for their values (None: absent).
FORWARDED = {
    "an empty line in front": (b"\r\n" + sized(), {}),
    "chunked, upper case": (post(b"TRANSFER-ENCODING: CHUNKED", body=WHOLE), {}),
    "chunked, blanks around": (post(b"Transfer-Encoding: \t chunked  ", body=WHOLE), {}),
    "chunk size in capitals and zeroes": (chunked(b"00000001F\r\n" + BODY + b"\r\n" + b"000\r\n\r\n"), {}),
    "chunk extensions": (chunked(chunk(BODY, b";a;b=c;d=\"e\"") + b"0;z\r\n\r\n"), {}),
    "one byte a chunk": (chunked(b"".join(chunk(bytes([byte])) for byte in BODY) + LAST), {}),
    "trailer of host": (chunked(chunk(BODY) + b"0\r\nHost: b\r\n\r\n"), {}),
    "trailers": (chunked(chunk(BODY) + b"0\r\nX-T: 1\r\n\r\n"), {b"x-t": None}),
    "content-length with zeroes": (post(b"Content-Length: 000%d" % SIZE), {}),
    "content-length with blanks around": (post(b"Content-Length: \t %d  " % SIZE), {}),
    "absolute target with another host than Host": (sized(first=b"POST http://b:8080PATH HTTP/1.1"), {}),
    "absolute target in capitals": (sized(first=b"POST HTTP://B:8080PATH HTTP/1.1"), {}),
    "Host with a port": (sized(host=b"Host: a:8080"), {}),
    "Host of an IPv6 address": (sized(host=b"Host: [::1]:80"), {}),
    "value with 0x80 and above": (sized(b"X-High: \xe2\x82\xac"), {b"x-high": b"\xe2\x82\xac"}),
    "value with a tab": (sized(b"X-Tab: a\tb"), {b"x-tab": b"a\tb"}),
    "value empty": (sized(b"X-Empty:"), {b"x-empty": b""}),
    "name of every token byte": (sized(b"!#$%&'*+-.^_`|~09AZaz: 1"), {b"!#$%&'*+-.^_`|~09azaz": b"1"}),
    "Connection names a field": (sized(b"Connection: x-secret, keep-alive", b"X-Secret: 1"), {b"x-secret": None, b"connection": None}),
    "Connection names what the gateway adds": (sized(b"Connection: x-request-id, authorization, content-length, host"),
                                               {b"connection": None}),
    "Keep-Alive": (sized(b"Keep-Alive: timeout=99, max=1"), {b"keep-alive": None}),
    "Proxy-Connection": (sized(b"Proxy-Connection: keep-alive"), {b"proxy-connection": None}),
    "Proxy-Authorization": (sized(b"Proxy-Authorization: Basic YQ=="), {b"proxy-authorization": None}),
    "TE": (sized(b"TE: trailers, chunked"), {b"te": None}),
    "Trailer": (sized(b"Trailer: Content-Length"), {b"trailer": None}),
    "offer of h2c": (sized(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
                     {b"upgrade": None, b"connection": None, b"http2-settings": None}),
    "a request in the body (CL.0)": (post(b"Content-Length: %d" % (SIZE + 42), body=BODY[:-1] + b" " * 42 + b"}"), {}),
    "Content_Length beside Content-Length": (sized(b"Content_Length: 5"), {}),
    "Transfer_Encoding": (sized(b"Transfer_Encoding: chunked"), {}),
    "Content-Length0": (sized(b"Content-Length0: 5"), {}),
    "X-HTTP-Method-Override": (sized(b"X-HTTP-Method-Override: DELETE"), {}),
    "internal fields": (sized(b"X-AI-EG-Original-Path: /admin", b"x-ai-eg-model: other", b"X-Gateway-Destination-Endpoint: 1.2.3.4:5"),
                        {b"x-ai-eg-original-path": None, b"x-gateway-destination-endpoint": None}),
    "internal fields, with underscores": (sized(b"X_AI_EG_Original_Path: /admin", b"X_Gateway_Destination_Endpoint: 1.2.3.4:5"),
                                          {b"x_ai_eg_original_path": None, b"x_gateway_destination_endpoint": None}),
}
