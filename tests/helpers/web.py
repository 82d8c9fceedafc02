"""Requests to a running server of the drawing page."""

import http.client
import json

from helpers.pictures import drawing


def body_of(digit, side=64, **more):
    pixels = drawing(digit, side).reshape(-1).tolist()
    return {"rows": side, "columns": side, "pixels": pixels, **more}


def ask(address, method="POST", path="/predict", body=None, headers=None):
    """One request; its status, what it says, its headers."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    connection.request(method, path, content, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


def says(address, **request):
    """The status and the sentence of a refusal."""
    status, text, _ = ask(address, **request)
    return status, json.loads(text)["error"]
