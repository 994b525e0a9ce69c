"""Interim answers (103 Early Hints) of a backend, as curl and Node's http client show them."""

import json
import socket
import subprocess
import threading

import pytest
import servers
from curl import curl

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nanswer"

ASK = """
import http from 'node:http';
const seen = [];
const request = http.get(process.argv[1], (response) => {
  response.setEncoding('utf8');
  let body = '';
  response.on('data', (piece) => { body += piece; });
  response.on('end', () => {
    seen.push([response.statusCode, body]);
    console.log(JSON.stringify(seen));
  });
});
request.on('information', (info) => seen.push([info.statusCode, info.headers.link]));
"""


@pytest.fixture
def hinting():
    """The server under test before a backend that gives two hints, then its answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client):
        with client:
            asked = b""
            while piece := client.recv(65536):
                asked += piece
                if asked.endswith(b"\r\n\r\n"):
                    client.sendall(HINTS + HINTS)
                    client.sendall(ANSWER)
                    asked = b""

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    server = servers.start(f"* 127.0.0.1:{listener.getsockname()[1]}")
    try:
        if server.name == "pushpin":
            pytest.skip("Pushpin leaves them out")
        yield server
    finally:
        server.stop()
        listener.close()


def test_curl_shows_them(hinting):
    shown = curl("--include", f"{hinting.base}/a", f"{hinting.base}/b")
    hints = HINTS.decode()
    heads = shown.split("\r\n\r\n")
    assert shown.startswith(hints + hints + "HTTP/1.1 200 OK\r\n")
    assert shown.count(hints) == 4
    assert heads[-1] == "answer"


def test_curl_of_http_1_0_gets_none(hinting):
    shown = curl("--include", "--http1.0", f"{hinting.base}/a")
    assert shown.startswith("HTTP/1.0 200 OK\r\n")
    assert shown.endswith("\r\n\r\nanswer")


def test_node_is_told_of_them(hinting):
    command = ["node", "--input-type=module", "--eval", ASK, f"{hinting.base}/a"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    link = "</style.css>; rel=preload; as=style"
    assert json.loads(done.stdout) == [[103, link], [103, link], [200, "answer"]]
