"""What Envoy itself does otherwise than the native host, with the reason: the one place where it is listed.

Cases are named by file and (the beginning of) their name. They are expected to fail through Envoy; one that passes
after all is reported, so that the list stays short and true.
"""

CASES = {
}


def reason(stem, name):
    return next((why for (file, begin), why in CASES.items() if file == stem and name.startswith(begin)), None)
