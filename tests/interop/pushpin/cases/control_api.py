"""The control API as bytes, and what else can be wrong with an item (grip-holds-and-publishing, 4
and 7)."""

import json

from cases.publishing import ITEM, formats, one, published
from engine import Case
from steps import Control


def raw(id: str, head: str, body: bytes = b"", method: str = "POST") -> Case:
    """A request of these lines, and the answer."""
    sent = head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body
    return Case(f"control-raw-{id}", [Control(sent, method)])


def accepting(id: str, accept: str, path: str = "/publish/") -> Case:
    return raw(f"accept-{id}", f"POST {path} HTTP/1.1\nContent-Length: {len(ITEM)}\n"
               f"Accept: {accept}", ITEM)


LENGTH = f"Content-Length: {len(ITEM)}"

CASES = [
    # What is acceptable, 7.1.
    accepting("last-wins", "text/plain, application/json"),
    accepting("last-wins-back", "application/json, text/plain"),
    accepting("weights", "application/json;q=0.1, text/plain;q=0"),
    accepting("any", "*/*"),
    accepting("star", "*"),
    accepting("any-text", "text/*"),
    accepting("any-application", "application/*"),
    accepting("html", "text/html"),
    accepting("html-and-json", "application/json, text/html"),
    accepting("case", "Application/JSON"),
    accepting("empty", ""),
    accepting("html-recover", "text/html", "/recover/"),
    accepting("json-recover", "application/json", "/recover"),
    accepting("html-unknown", "text/html", "/nothing"),
    accepting("html-root", "text/html", "/"),
    # Paths and methods, 7.2.
    raw("post-root", f"POST / HTTP/1.1\n{LENGTH}", ITEM),
    raw("head-root", "HEAD / HTTP/1.1", method="HEAD"),
    raw("absolute", f"POST http://control/publish/ HTTP/1.1\n{LENGTH}", ITEM),
    raw("two-slashes", f"POST /publish// HTTP/1.1\n{LENGTH}", ITEM),
    raw("slash-before", f"POST //publish HTTP/1.1\n{LENGTH}", ITEM),
    raw("path-case", f"POST /Publish/ HTTP/1.1\n{LENGTH}", ITEM),
    raw("below", f"POST /publish/x HTTP/1.1\n{LENGTH}", ITEM),
    raw("method-case", f"post /publish/ HTTP/1.1\n{LENGTH}", ITEM, "post"),
    raw("delete", "DELETE /publish/ HTTP/1.1", method="DELETE"),
    raw("recover-put", "PUT /recover/ HTTP/1.1\nContent-Length: 0", method="PUT"),
    raw("recover-body", f"POST /recover/ HTTP/1.1\n{LENGTH}", ITEM),
    raw("recover-nonsense", "POST /recover/ HTTP/1.1\nContent-Length: 8", b"nonsense"),
    # Heads, 7.3.
    raw("1.0", f"POST /publish/ HTTP/1.0\n{LENGTH}", ITEM),
    raw("no-version", "GET /", method="GET"),
    raw("no-length", "POST /publish/ HTTP/1.1"),
    raw("no-length-unknown", "POST /nothing HTTP/1.1"),
    raw("length-negative", "POST /publish/ HTTP/1.1\nContent-Length: -1"),
    raw("length-words", "POST /publish/ HTTP/1.1\nContent-Length: many"),
    raw("length-too-large", "POST /publish/ HTTP/1.1\nContent-Length: 1000001"),
    raw("length-of-get", f"GET / HTTP/1.1\n{LENGTH}", ITEM, "GET"),
    raw("coding-of-get", "GET / HTTP/1.1\nTransfer-Encoding: chunked", b"0\r\n\r\n", "GET"),
    raw("line-without-colon", f"POST /publish/ HTTP/1.1\nnonsense\n{LENGTH}", ITEM),
    raw("name-case", f"POST /publish/ HTTP/1.1\ncONTENT-length:{len(ITEM)}", ITEM),
    raw("no-host", f"POST /publish/ HTTP/1.1\n{LENGTH}", ITEM),
    raw("authorization", f"POST /publish/ HTTP/1.1\nAuthorization: Bearer x\n{LENGTH}", ITEM),
    Case("control-raw-bare-lines", [Control(
        b"POST /publish/ HTTP/1.1\n" + LENGTH.encode() + b"\n\n" + ITEM)]),
    # Bodies that are JSON, and not.
    published("scalar", b"5"),
    published("text", b'"x"'),
    published("null", b"null"),
    published("items-null", {"items": None}),
    published("items-text", {"items": "x"}),
    published("item-null", {"items": [None]}),
    published("item-list", {"items": [[]]}),
    published("duplicate-members", b'{"items": 1, "items": []}'),
    published("lone-surrogate", b'{"items":[{"channel":"\\ud800","formats":{"a":1}}]}'),
    published("garbage-behind", b'{"items": []} x'),
    published("single-quotes", b"{'items': []}"),
    published("comment", b'{"items": [] /* none */}'),
    published("not-a-number", b'{"items":[{"channel":"n","size":NaN,"formats":{"a":1}}]}'),
    published("control-character", b'{"items":[{"channel":"a\nb","formats":{"a":1}}]}'),
    published("deep", b'{"items":[{"channel":"n","formats":{"a":' + b"[" * 100 + b"]" * 100
              + b"}}]}"),
    # Items, member by member.
    published("channel-null", {"items": [{"channel": None}]}),
    published("channel-before-id", {"items": [{"channel": 1, "id": 1}]}),
    published("id-before-formats", one(id=[], formats=1)),
    published("prev-id-null", one(**{"prev-id": None}, formats={"x": 1})),
    published("formats-null", one(formats=None)),
    published("formats-empty-beside-legacy", one(formats={}, **{"http-stream": {"content": "x"}})),
    published("legacy-type", one(**{"http-stream": 1})),
    published("meta-null", one(meta=None, formats={"x": 1})),
    published("meta-list", one(meta=[], formats={"x": 1})),
    published("meta-before-size", one(meta=1, size=-1, formats={"x": 1})),
    published("formats-before-meta", one(meta=1, formats={"http-stream": 1})),
    published("response-before-stream", formats(http_stream=1, http_response=1)),
    published("stream-before-message", formats(ws_message=1, http_stream=1)),
    published("size-null", one(size=None, formats={"x": 1})),
    published("size-bool", one(size=True, formats={"x": 1})),
    published("size-small-fraction", one(size=-0.4, formats={"x": 1})),
    published("size-fraction", one(size=-0.6, formats={"x": 1})),
    published("no-seq-null", one(**{"no-seq": None}, formats={"x": 1})),
    published("no-seq-text", one(**{"no-seq": "true"}, formats={"x": 1})),
    published("other-members", one(expire=[], formats={"x": 1})),
    *[published(f"response-code-{id}", formats(http_response={"code": code, "body": ""}))
      for id, code in [("null", None), ("object", {}), ("negative", -1), ("bool", True),
                       ("fraction", 999.4), ("rounded", 999.5), ("words", "abc"), ("largest", 999),
                       ("zero", 0), ("string-large", "1000"), ("string-fraction", "404.6")]],
    published("response-reason-null", formats(http_response={"reason": None, "body": ""})),
    published("response-headers-null", formats(http_response={"headers": None, "body": ""})),
    published("response-headers-three",
              formats(http_response={"headers": [["a", "b", "c"]], "body": ""})),
    published("response-headers-null-value",
              formats(http_response={"headers": {"a": None}, "body": ""})),
    published("response-body-null", formats(http_response={"body": None})),
    published("response-bin-before-body",
              formats(http_response={"body-bin": 1, "body": 1})),
    published("response-body-before-patch",
              formats(http_response={"body": "x", "body-patch": 1})),
    published("response-patch-elements", formats(http_response={"body-patch": [1, {"op": 1}]})),
    published("response-filters", formats(http_response={"body": "", "content-filters": {}})),
    published("response-filters-null", formats(http_response={"body": "", "content-filters": None})),
    published("response-action-null", formats(http_response={"action": None, "body": ""})),
    published("response-action-empty", formats(http_response={"action": "", "body": ""})),
    published("response-hint-unchecked", formats(http_response={"action": "hint", "code": []})),
    published("response-close", formats(http_response={"action": "close"})),
    published("stream-null", formats(http_stream=None)),
    published("stream-content-null", formats(http_stream={"content": None})),
    published("stream-bin", formats(http_stream={"content-bin": 1})),
    published("stream-bin-before-content",
              formats(http_stream={"content-bin": "!!", "content": 1})),
    published("stream-close-unchecked", formats(http_stream={"action": "close", "content": 1})),
    published("message-null", formats(ws_message=None)),
    published("message-type-number", formats(ws_message={"type": 1, "content": ""})),
    published("message-type-case", formats(ws_message={"type": "Text", "content": ""})),
    published("message-type-empty", formats(ws_message={"type": "", "content": ""})),
    published("message-type-alone", formats(ws_message={"type": "text"})),
    published("message-pong", formats(ws_message={"type": "pong"})),
    published("message-content", formats(ws_message={"content": 1})),
    published("message-bin", formats(ws_message={"content-bin": []})),
    published("message-filters", formats(ws_message={"content": "", "content-filters": [None]})),
    published("message-hint", formats(ws_message={"action": "hint"})),
    published("message-close", formats(ws_message={"action": "close"})),
    published("message-close-code-type", formats(ws_message={"action": "close", "code": []})),
    published("message-close-code-string", formats(ws_message={"action": "close", "code": "x"})),
    published("message-close-code-large", formats(ws_message={"action": "close", "code": 70000})),
    published("message-close-reason-null", formats(ws_message={"action": "close", "reason": None})),
    published("all-formats", formats(http_response={"body": ""}, http_stream={"content": ""},
                                     ws_message={"content": ""})),
    published("many", json.dumps({"items": [
        {"channel": f"n{n}", "formats": {"http-stream": {"content": "x"}}}
        for n in range(200)]}).encode()),
]
