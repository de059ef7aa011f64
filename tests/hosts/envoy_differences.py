"""What Envoy itself does otherwise than the native host, with the reason: the one place where it is listed.

Cases are named by file and (the beginning of) their name. They are expected to fail through Envoy; one that passes
after all is reported, so that the list stays short and true.
"""

CASES = {
}

# Of the hostile requests (tests/e2e/hostile/requests_table.py): what Envoy's codec reads as something that is well formed, or
# waits for. The module sees, and a backend gets, the canonical form of what Envoy has read.
HOSTILE = {
    "folded fields are joined": [
        "framing: TE folded", "framing: TE folded by a tab", "framing: TE behind a folded field", "framing: TE behind a blank",
        "framing: CL folded", "lines: folded by a blank", "lines: folded by a tab", "lines: folded to nothing", "lines: name of a blank",
        "hosts: Host folded", "chunks: trailer folded"],
    "a line may end without its CR": [
        "framing: TE behind a bare LF", "framing: TE behind CR CR LF", "framing: 0.CL: a length that is hidden by a blank line of its own",
        "lines: all lines ended by LF", "lines: one line ended by LF", "lines: request line ended by LF", "lines: request line ended by CR CR LF",
        "lines: head ended by LF LF", "lines: head ended by CR LF LF", "lines: head ended by LF CR LF", "first lines: bare LF in front",
        "chunks: trailer with a bare LF", "chunks: trailers ended by LF", "chunks: last size ended by CR LF LF"],
    "a CR inside a value is dropped, between lines skipped": [
        "framing: TE behind a bare CR", "framing: CL behind a bare CR", "lines: value with 0x0d", "lines: Host with 0x0d",
        "first lines: bare CR in front", "first lines: three empty lines in front", "first lines: 10,000 empty lines in front",
        "chunks: trailer with a bare CR", "lines: all lines ended by CR"],
    "several blanks and tabs part a request line": [
        "first lines: two blanks before the target", "first lines: two blanks before the version", "first lines: tab before the target",
        "first lines: tab before the version", "first lines: version followed by a blank", "first lines: version followed by a tab"],
    "other versions are taken for HTTP/1.0 or 1.1": [
        *[f"first lines: version HTTP/{version}" for version in ("0.9", "1.2", "1.9", "2.0", "3.0", "9.9")], "framing: TE on HTTP/1.0"],
    "what stands behind a chunk's size or its data is skipped": [
        "chunks: data ended by CR CR LF", "chunks: data ended by LF", "chunks: data longer than its size", "chunks: data shorter than its size",
        "chunks: extension of 400 bytes", "chunks: extension of 64 KiB", "chunks: extension with NUL", "chunks: extension with a bare quote",
        "chunks: extension with a blank before the semicolon", "chunks: extension with an end of line in quotes",
        "chunks: size with a tab behind", "chunks: size with blanks behind", "chunks: size of 16 f"],
    "trailers are read as fields and dropped": [
        "chunks: trailer fields without end", "chunks: trailer of content-length", "chunks: trailer of transfer-encoding"],
    "an absolute target takes the place of any Host, without its user information": [
        "hosts: absolute target and a bad Host", "hosts: absolute target and no Host", "hosts: absolute target and two Hosts",
        "hosts: absolute target with user information"],
    "another status, or an end without one": [
        "first lines: CONNECT with a body", "first lines: HTTP/2 preface with a field", "first lines: HTTP/2 preface, its end wrong",
        "lines: a megabyte of method", "targets: target of 100 KB"],
}

# The same of malformed requests over HTTP/2 (tests/e2e/test_h2.py): values are trimmed, methods are the module's to refuse (405),
# and a Host beside :authority is dropped. Of floods: frames of unknown kinds are skipped without end.
HTTP2 = ["blank in front of a value", ":method unknown", ":method in lower case", "host against :authority"]
FLOODS = ["unknown frames"]

# Of hostile answers (tests/e2e/hostile/answers_table.py): what Envoy's codec takes in the same way, or refuses where it could pass.
ANSWERS = [
    "TE on HTTP/1.0", "bare LF", "bare LF behind the first line", "bare LF between fields", "bare CR in a value", "bare CR for all ends",
    "CR CR LF", "head ended by LF LF", "head ended by CR LF CR X", "LF in the reason", "CR in the reason", "folded", "status behind two blanks",
    "status behind a tab", "status with a tab behind", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9 in the first line", "1xx without end",
    "chunk data ended by LF", "chunk data longer than its size", "chunk extension of 100 KB", "trailers without end", "trailer with LF",
    "body on 204, sized"]

# Odd requests that Envoy refuses though they could be served.
STRICTER = ["Connection names what the gateway adds"]


def reason(stem, name):
    return next((why for (file, begin), why in CASES.items() if file == stem and name.startswith(begin)), None)
