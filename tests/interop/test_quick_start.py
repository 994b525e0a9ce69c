"""The tour that a new user takes: the built-in target and curl, nothing else."""

import json
import re

from curl import Curl, curl
from knock import KNOCK, knock
from raw import Raw, chunk

PUBLISHED = "Published\n"


def publish(server, items, *arguments) -> str:
    return curl("-d", json.dumps({"items": items}), *arguments, f"{server.control}/publish/")


def publish_one(server, channel, formats):
    assert publish(server, [{"channel": channel, "formats": formats}]) == PUBLISHED


def publish_stream(server, channel, content):
    publish_one(server, channel, {"http-stream": {"content": content}})


def publish_end(server, channel):
    publish_one(server, channel, {"http-stream": {"action": "close"}})


def knock_on_stream(server, channel, client):
    knock(lambda: publish_stream(server, channel, KNOCK), client.knocked)


def test_root_greets(quick):
    body = curl(f"{quick.base}/")
    assert re.fullmatch(r"Hello from the (Pushpin|linchpin) test handler!\n", body)


def test_unknown_path(quick):
    shown = curl("-i", f"{quick.base}/nowhere")
    assert shown.startswith("HTTP/1.1 404 Not Found\r\n")
    assert shown.endswith("\r\n\r\nno such test resource\n")


def test_control_api_greets(quick):
    assert curl(f"{quick.control}/") in ("Pushpin API\n", "linchpin API\n")


def test_stream_shows_what_is_published(quick):
    with Curl(f"{quick.base}/stream?channel=tour") as stream:
        assert stream.line() == "[stream opened]\n"
        knock_on_stream(quick, "tour", stream)
        publish_stream(quick, "tour", "hello there\n")
        assert stream.line() == "hello there\n"
        publish_end(quick, "tour")
        assert stream.rest() == ""
        assert stream.process.returncode == 0


def test_long_poll_is_answered(quick):
    answer = {"http-response": {"body": "here it is\n"}}
    with Curl("-i", f"{quick.base}/response?channel=poll") as poll:
        knock(lambda: publish_one(quick, "poll", answer), poll.answered)
        shown = poll.rest()
    head, body = shown.split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "content-length: 11" in head.lower().split("\r\n")
    assert body == "here it is\n"


def test_several_items_in_one_call_arrive_in_order(quick):
    with Curl(f"{quick.base}/stream?channel=order") as stream:
        assert stream.line() == "[stream opened]\n"
        knock_on_stream(quick, "order", stream)
        items = [
            {"channel": "order", "formats": {"http-stream": {"content": f"{n}\n"}}}
            for n in range(20)
        ]
        reply = publish(quick, items, "-H", "Accept: application/json")
        assert json.loads(reply) == {"message": "Published"}
        assert [stream.line() for _ in range(20)] == [f"{n}\n" for n in range(20)]


def test_one_item_reaches_every_subscriber(quick):
    streams = [Curl(f"{quick.base}/stream?channel=many") for _ in range(10)]
    try:
        for stream in streams:
            assert stream.line() == "[stream opened]\n"
        for stream in streams:
            knock(
                lambda: publish_stream(quick, "many", KNOCK),
                stream.knocked,
            )
        publish_stream(quick, "many", "to all\n")
        assert [stream.line() for stream in streams] == ["to all\n"] * 10
    finally:
        for stream in streams:
            stream.__exit__()


def test_invalid_item_is_refused_and_nothing_of_the_call_is_delivered(quick):
    with Curl(f"{quick.base}/stream?channel=invalid") as stream:
        assert stream.line() == "[stream opened]\n"
        knock_on_stream(quick, "invalid", stream)
        items = [
            {"channel": "invalid", "formats": {"http-stream": {"content": "never\n"}}},
            {"channel": "invalid", "formats": {"http-stream": {}}},
        ]
        shown = publish(quick, items, "-i")
        assert shown.startswith("HTTP/1.1 400 Bad Request\r\n")
        assert shown.endswith(
            "\r\n\r\nInvalid format: 'http-stream' does not contain 'content' or 'content-bin'\n"
        )
        publish_stream(quick, "invalid", "only this\n")
        assert stream.line() == "only this\n"


def test_stream_byte_for_byte(quick):
    with Raw(quick) as client:
        client.send(b"GET /stream?channel=bytes HTTP/1.1\r\nHost: a.example\r\n\r\n")
        status, fields = client.head()
        assert status == "HTTP/1.1 200 OK"
        assert ("content-type", "text/plain") in fields
        assert ("transfer-encoding", "chunked") in fields
        names = [name for name, _ in fields]
        assert "content-length" not in names
        assert not [name for name in names if name.startswith("grip-")]
        assert client.chunk() == chunk(b"[stream opened]\n")
        knock_on_stream(quick, "bytes", client)
        publish_stream(quick, "bytes", "\u00e4\u20ac\n")
        assert client.chunk() == chunk("\u00e4\u20ac\n".encode())
        publish_one(quick, "bytes", {"http-stream": {"content-bin": "AAEC/w=="}})
        assert client.chunk() == chunk(b"\x00\x01\x02\xff")
        publish_end(quick, "bytes")
        assert client.chunk() == b"0\r\n\r\n"


def test_long_poll_byte_for_byte_and_again_on_the_same_connection(quick):
    with Raw(quick) as client:
        for turn in ("once", "twice"):
            channel = f"again-{turn}"
            client.send(
                f"GET /response?channel={channel} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode()
            )
            answer = {
                "code": 201,
                "reason": "Made",
                "headers": {"Content-Type": "text/x-turn", "X-Turn": turn},
                "body": f"{turn}\n",
            }
            knock(
                lambda: publish_one(quick, channel, {"http-response": answer}), client.answered
            )
            status, fields, body = client.response()
            assert status == "HTTP/1.1 201 Made"
            assert sorted(fields) == [
                ("content-length", str(len(turn) + 1)),
                ("content-type", "text/x-turn"),
                ("x-turn", turn),
            ]
            assert body == f"{turn}\n".encode()


def test_http_1_0_stream_is_raw_and_ends_with_the_connection(quick):
    with Raw(quick) as client:
        client.send(b"GET /stream?channel=old HTTP/1.0\r\nHost: a.example\r\n\r\n")
        status, fields = client.head()
        assert status == "HTTP/1.0 200 OK"
        assert "transfer-encoding" not in dict(fields)
        assert client.exactly(16) == b"[stream opened]\n"
        knock(
            lambda: publish_stream(quick, "old", "raw\n"),
            client.answered,
        )
        publish_end(quick, "old")
        assert set(client.rest().decode().splitlines()) == {"raw"}
