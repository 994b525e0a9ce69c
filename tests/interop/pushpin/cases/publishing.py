"""The control API: what publishers send, and what is done with ids and filters
(grip-holds-and-publishing, 4 to 7)."""

import json

from cases.words import get, grip, item
from engine import Case
from steps import Control, End, Got, Opened, Publish, Subscribed, Until


def control(id: str, line: str, *fields: str, body: bytes = b"", method: str = "POST",
            length: bool = True, config: str = "base") -> Case:
    """A request to the control API, and its answer."""
    lines = [f"{line} HTTP/1.1", "Host: control", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    sent = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return Case(f"control-{id}", [Control(sent, method)], config=config)


def published(id: str, document, *fields: str, config: str = "base") -> Case:
    """A body that is sent to /publish/, and the answer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return control(f"publish-{id}", "POST /publish/", *fields, body=body, config=config)


def one(**members) -> dict:
    return {"items": [{"channel": "nobody", **members}]}


def formats(**of) -> dict:
    return one(formats={name.replace("_", "-"): value for name, value in of.items()})


def follows(id: str, *steps, channel: str, first: str = "", config: str = "base",
            fields: tuple = ()) -> Case:
    """A stream on a channel, and what it gets of what is published."""
    back = grip("stream", channel + first, *fields, body=b"hi\n")
    return Case(f"publishing-{id}", [get(), Opened, Until(b"hi\n"), Subscribed(channel), *steps],
                [back], config=config)


def line(channel: str, text: str, **members) -> dict:
    return item(channel, http_stream={"content": text + "\n"}) | members


ITEM = json.dumps(one(formats={"http-stream": {"content": "x"}})).encode()

CASES = [
    # The API, 7.
    control("root", "GET /", method="GET"),
    control("unknown", "GET /nothing", method="GET"),
    control("publish-get", "GET /publish/", method="GET"),
    control("publish-put", "PUT /publish/", body=ITEM, method="PUT"),
    control("publish-no-slash", "POST /publish", body=ITEM),
    control("publish-query", "POST /publish/?a=b", body=ITEM),
    control("publish-options", "OPTIONS /publish/", "Origin: http://b.test", method="OPTIONS"),
    control("publish-chunked", "POST /publish/", "Transfer-Encoding: chunked", length=False,
            body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(ITEM), ITEM)),
    control("publish-accept-json", "POST /publish/", "Accept: application/json", body=ITEM),
    control("publish-accept-text", "POST /publish/", "Accept: text/plain", body=ITEM),
    control("publish-content-type", "POST /publish/", "Content-Type: text/plain", body=ITEM),
    control("publish-continue", "POST /publish/", "Expect: 100-continue", body=ITEM),
    control("publish-close", "POST /publish/", "Connection: close", body=ITEM),
    control("publish-head", "HEAD /publish/", method="HEAD"),
    control("recover", "POST /recover/"),
    control("recover-get", "GET /recover/", method="GET"),
    control("body-too-large", "POST /publish/", body=b" " * 30_000, config="bare"),
    control("body-largest", "POST /publish/", body=ITEM + b" " * (1000 - len(ITEM)),
            config="bare"),
    control("head-too-large", "POST /publish/", "X-A: " + "x" * 12_000, body=ITEM),
    # Items that are accepted, and not.
    published("item", one(formats={"http-stream": {"content": "x"}})),
    published("empty-list", {"items": []}),
    published("no-items", {}),
    published("items-no-list", {"items": {}}),
    published("not-json", b"nonsense"),
    published("empty", b""),
    published("array", []),
    published("array-of-items", [1]),
    published("byte-order-mark", b"\xef\xbb\xbf" + ITEM),
    published("trailing-comma", b'{"items": [],}'),
    published("not-utf8", b'{"items": [{"channel": "\xff"}]}'),
    published("item-no-object", {"items": [1]}),
    published("no-channel", {"items": [{"formats": {"http-stream": {"content": "x"}}}]}),
    published("channel-type", {"items": [{"channel": 1}]}),
    published("channel-empty", {"items": [
        {"channel": "", "formats": {"http-stream": {"content": "x"}}}]}),
    published("no-formats", one()),
    published("formats-empty", one(formats={})),
    published("formats-type", one(formats=[])),
    published("formats-unknown", formats(other=1)),
    published("legacy", {"items": [{"channel": "nobody", "http-stream": {"content": "x"}}]}),
    published("id-type", one(id=1)),
    published("id-null", one(id=None)),
    published("prev-id-type", one(**{"prev-id": 1})),
    published("meta-type", one(meta=1, formats={"http-stream": {"content": "x"}})),
    published("meta-value", one(meta={"a": 1}, formats={"http-stream": {"content": "x"}})),
    published("size-type", one(size=[], formats={"http-stream": {"content": "x"}})),
    published("size-negative", one(size=-1, formats={"http-stream": {"content": "x"}})),
    published("size-string", one(size="5", formats={"http-stream": {"content": "x"}})),
    published("no-seq-type", one(**{"no-seq": 1}, formats={"http-stream": {"content": "x"}})),
    published("second-is-bad", {"items": [
        {"channel": "nobody", "formats": {"http-stream": {"content": "x"}}}, {"channel": "n"}]}),
    published("response-type", formats(http_response=1)),
    published("response-null", formats(http_response=None)),
    published("response-empty", formats(http_response={})),
    published("response-code", formats(http_response={"code": [], "body": ""})),
    published("response-code-range", formats(http_response={"code": 1000, "body": ""})),
    published("response-code-string", formats(http_response={"code": " 404 ", "body": ""})),
    published("response-reason", formats(http_response={"reason": 1, "body": ""})),
    published("response-headers", formats(http_response={"headers": 1, "body": ""})),
    published("response-headers-element", formats(http_response={"headers": [1], "body": ""})),
    published("response-headers-length", formats(http_response={"headers": [[]], "body": ""})),
    published("response-headers-name", formats(http_response={"headers": [[1, ""]], "body": ""})),
    published("response-headers-value",
              formats(http_response={"headers": [["a", 1]], "body": ""})),
    published("response-headers-member",
              formats(http_response={"headers": {"a": 1}, "body": ""})),
    published("response-body", formats(http_response={"body": 1})),
    published("response-body-bin", formats(http_response={"body-bin": 1})),
    published("response-body-patch", formats(http_response={"body-patch": {}})),
    published("stream-type", formats(http_stream="x")),
    published("stream-empty", formats(http_stream={})),
    published("stream-content", formats(http_stream={"content": 1})),
    published("stream-action", formats(http_stream={"action": "explode"})),
    published("stream-action-type", formats(http_stream={"action": 1})),
    published("stream-action-case", formats(http_stream={"action": "Send", "content": "x"})),
    published("stream-close", formats(http_stream={"action": "close"})),
    published("stream-hint", formats(http_stream={"action": "hint"})),
    published("stream-filters", formats(http_stream={"content": "", "content-filters": 1})),
    published("stream-filter", formats(http_stream={"content": "", "content-filters": [1]})),
    published("message-empty", formats(ws_message={})),
    published("message-type", formats(ws_message={"type": "xml", "content": ""})),
    published("message-ping", formats(ws_message={"type": "ping"})),
    published("message-close-code", formats(ws_message={"action": "close", "code": -1})),
    published("message-close-reason", formats(ws_message={"action": "close", "reason": 1})),
    # What is delivered: ids, 5.
    follows("duplicate", Publish([line("p-dup", "1", id="1"), line("p-dup", "1 again", id="1"),
                                  line("p-dup", "2", id="2")]), Until(b"2\n"),
            channel="p-dup"),
    follows("duplicates-kept",
            Publish([line("p-dups", "1", id="1"), line("p-dups", "1 again", id="1")]),
            Until(b"again\n"), channel="p-dups", config="bare"),
    follows("order", Publish([line("p-order", "1", id="1"),
                              line("p-order", "3", id="3", **{"prev-id": "2"}),
                              line("p-order", "4", id="4", **{"prev-id": "3"}),
                              line("p-order", "2", id="2", **{"prev-id": "1"})]), Until(b"4\n"),
            channel="p-order"),
    follows("order-wait", Publish([line("p-wait", "1", id="1"),
                                   line("p-wait", "3", id="3", **{"prev-id": "2"})]),
            Until(b"3\n"), channel="p-wait", config="bare"),
    follows("no-seq", Publish([line("p-noseq", "1", id="1"),
                               line("p-noseq", "3", id="3", **{"prev-id": "2", "no-seq": True})]),
            Until(b"3\n"), channel="p-noseq"),
    follows("without-prev-id", Publish([line("p-free", "1", id="1"), line("p-free", "5", id="5"),
                                        line("p-free", "none"), line("p-free", "6", id="6")]),
            Until(b"6\n"), channel="p-free"),
    follows("batch-of-channels", Publish([line("p-other", "not this"), line("p-batch", "this")]),
            Until(b"this\n"), channel="p-batch"),
    Case("publishing-prev-id-in-order",
         [get(), Subscribed("p-prev"),
          Publish(item("p-prev", http_response={"body": "next"}) | {"id": "2", "prev-id": "1"}),
          Got, End], [grip("response", "p-prev; prev-id=1")]),
    Case("publishing-prev-id-behind",
         [get(), Subscribed("p-behind"),
          Publish(item("p-behind", http_response={"body": "3"}) | {"id": "3", "prev-id": "2"}),
          Got, End],
         [grip("response", "p-behind; prev-id=1"),
          b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"]),
    # Filters, 6.
    follows("skip-self",
            Publish([line("f-self", "mine", meta={"sender": "alice"}),
                     line("f-self", "other", meta={"sender": "bob"})]), Until(b"other\n"),
            channel="f-self", first="; filter=skip-self", fields=("Grip-Set-Meta: user=alice",)),
    follows("skip-users",
            Publish([line("f-users", "no", meta={"skip_users": "bob, alice"}),
                     line("f-users", "yes", meta={"skip_users": "bob"})]), Until(b"yes\n"),
            channel="f-users", first="; filter=skip-users",
            fields=("Grip-Set-Meta: user=alice",)),
    follows("require-sub",
            Publish([line("f-req", "no", meta={"require_sub": "other"}),
                     line("f-req", "yes", meta={"require_sub": "f-req"})]), Until(b"yes\n"),
            channel="f-req", first="; filter=require-sub"),
    follows("var-subst", Publish(line("f-var", "hello %(name)s 100%%")), Until(b"%\n"),
            channel="f-var", first="; filter=var-subst",
            fields=('Grip-Set-Meta: name="a b"',)),
    follows("unknown-filter", Publish(line("f-none", "x")), Until(b"x\n"), channel="f-none",
            first="; filter=imaginary"),
    follows("content-filters",
            Publish([item("f-con", http_stream={"content": "no\n", "content-filters": []}),
                     item("f-con", http_stream={"content": "yes\n",
                                                "content-filters": ["var-subst"]})]),
            Until(b"yes\n"), channel="f-con", first="; filter=var-subst"),
    follows("build-id", Publish(line("f-id", "id %I", id="6", **{"prev-id": "5"})),
            Publish(line("f-id", "last", id="7", **{"prev-id": "6"})), Until(b"last\n"),
            channel="f-id", first="; prev-id=5; filter=build-id",
            fields=('Grip-Set-Meta: id_format="%(f-id)s-x"', "Grip-Link: </n>; rel=next")),
]
