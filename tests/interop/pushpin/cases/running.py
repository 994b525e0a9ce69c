"""What a running server does besides: command line, reloading, the log, Unix sockets
(routing-and-proxying, 2.1, 7, 8 and 9.3)."""

from cases.websockets import BYE, CLOSE, upgrade
from cases.words import answer, asked, get, grip, item, ok, post, request
from answers import Accept, Close, Echo
from engine import Case
from steps import Ended, End, Got, Heard, Logged, Publish, Reload, Say, Six, Subscribed, Unix


def logged(id: str, *steps, back=(), config: str = "base", lines: int = 1, brief=()) -> Case:
    """The lines that are written of a request; its path names the case."""
    pattern = rf"\b[A-Z]+ (http|ws)s?://\S+/log-{id}(?![\w-]).* (code=|accept|error).*$"
    return Case(f"log-{id}", [*steps, Logged(pattern, lines)], list(back), brief=list(brief),
                config=config)


CASES = [
    # The command line.
    Case("told-route", asked(get()), [ok()], config="told"),
    Case("told-second-route", asked(get(host="second.test")), [ok()], config="told"),
    Case("told-bad-route", asked(get(host="bad.test")), [ok()], config="told"),
    # Reloading.
    Case("reload-before", asked(get()), [ok()], config="reloaded"),
    Case("reload-hang-up",
         [get(), Got, Reload("* 127.0.0.1:{backend},host=hung-up"), get(), Got, End],
         [ok(), ok()], config="reloaded"),
    Case("reload-rename",
         [Reload("* 127.0.0.1:{backend},host=renamed", hang_up=False), get(), Got, End],
         [ok()], config="reloaded"),
    Case("reload-bad-line",
         [Reload("bad\n* 127.0.0.1:{backend},host=after-bad", bad=1), get(), Got, End],
         [ok()], config="reloaded"),
    Case("reload-route-gone",
         [Reload("other.test 127.0.0.1:{backend}"), get(), Got, get(host="other.test"), Got, End],
         [ok()], config="reloaded"),
    Case("reload-keeps-holds",
         [Reload("* 127.0.0.1:{backend}"), get(), Subscribed("reload-held"),
          Reload("other.test 127.0.0.1:{backend}"),
          Publish(item("reload-held", http_response={"body": "still here"})), Got, End],
         [grip("response", "reload-held")], config="reloaded"),
    Case("reload-counts",
         [Reload("# only a comment\n\na.test 127.0.0.1:80\n"
                 "b.test,id=b 127.0.0.1:80\n")], config="reloaded"),
    # The log, 8.3.
    logged("plain", get("/log-plain?query"), Got, back=[answer("201 Made", body=b"12345")]),
    logged("no-body", get("/log-no-body"), Got, back=[answer("204 No Content", length=False)]),
    logged("head", request("HEAD /log-head"), Got("HEAD"),
           back=[b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"]),
    logged("post", post("/log-post", b"body", "Referer: http://b.test/from"), Got("POST"),
           back=[ok()]),
    logged("no-route", get("/log-no-route", host="shadow.test"), Got),
    logged("down", get("/log-down", host="down.test"), Got),
    logged("failed", post("/log-failed", b"x", host="brief.test"), Got("POST"), brief=[[Close()]]),
    logged("test-target", get("/log-test-target", host="test.test"), Got),
    logged("other-port", get("/log-other-port", host="a.test:8080"), Got, back=[ok()]),
    logged("rewritten", get("/abc/log-rewritten", host="rem.test"), Got, back=[ok()]),
    logged("json-p", get("/log-json-p?callback=cb&_method=PUT&a=b", host="jsonp.test"), Got,
           back=[ok()]),
    logged("route-id", get("/log-route-id", host="named.test"), Got, back=[ok()],
           config="believing"),
    logged("from-and-agent", get("/log-from-and-agent", "User-Agent: somebody/1.0 (x)"), Got,
           back=[ok()], config="told"),
    logged("accept", get("/log-accept"), Subscribed("log-accept"),
           Publish(item("log-accept", http_response={"body": "p"})), Got,
           back=[grip("response", "log-accept")]),
    logged("retry", get("/log-retry"), Subscribed("log-retry"),
           Publish(item("log-retry", http_response={"action": "hint"})), Got,
           back=[grip("response", "log-retry"), ok()], lines=2),
    logged("grip-last", get("/log-grip-last", "Grip-Last: ch; last-id=5"), Got, back=[ok()]),
    logged("websocket", upgrade("/log-websocket"), Got, Say(CLOSE, BYE), Heard,
           back=[[Accept(), Echo()]]),
    logged("websocket-rejected", upgrade("/log-websocket-rejected"), Got,
           back=[answer("403 No", body=b"go")]),
    logged("over-http", upgrade("/log-over-http", host="over.test"), Got,
           back=[answer("403 No", body=b"go")]),
    # IPv6, 9.1.
    Case("six-plain", [Six(), *asked(get())], [ok()], config="keyed"),
    Case("six-forwarded", [Six(), *asked(get("/", "X-Forwarded-For: 1.1.1.1"))], [ok()],
         config="keyed"),
    Case("six-host", [Six(), *asked(get(host="[::1]:8080"))], [ok()], config="keyed"),
    Case("six-websocket", [Six(), upgrade(host="a.test"), Got, Say(CLOSE, BYE), Heard, Ended],
         [[Accept(), Echo()]], config="keyed"),
    Case("six-held", [Six(), get(), Subscribed("six-held"),
                      Publish(item("six-held", http_response={"body": "p"})), Got, End],
         [grip("response", "six-held")], config="keyed"),
    Case("six-target", asked(get(host="six.test")), config="keyed"),
    # Numbers of instances, and offsets, 7.1.
    *[Case(f"{config}-publish", [get(), Subscribed(f"{config}-held"),
                                 Publish(item(f"{config}-held", http_response={"body": "p"})), Got,
                                 End], [grip("response", f"{config}-held")], config=config)
      for config in ("numbered", "moved")],
    # Unix sockets, 9.3.
    Case("unix-plain", [Unix(), *asked(get())], [ok()]),
    Case("unix-no-address", [Unix(), *asked(get("/", "X-Forwarded-For: 1.1.1.1"))], [ok()],
         config="bare"),
    Case("unix-no-address-at-all", [Unix(), *asked(get())], [ok()], config="bare"),
    Case("unix-websocket", [Unix(), upgrade(), Got, Say(CLOSE, BYE), Heard, Ended],
         [[Accept(), Echo()]]),
]
