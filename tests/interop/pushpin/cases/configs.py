"""The configurations of the differential test: each is one pair of fronts for a whole session.

What a target's `host` says can be seen by the backend: it tells which route was taken.
"""

from engine import Config
from keys import PAIRS

BASE_ROUTES = """
# Selection. The host that the backend sees tells the route.
* 127.0.0.1:{backend}
shadow.test,path_beg=/only 127.0.0.1:{backend},host=shadow-only
long.test 127.0.0.1:{backend},host=long-none
long.test,path_beg=/a 127.0.0.1:{backend},host=long-a
long.test,path_beg=/a/b 127.0.0.1:{backend},host=long-ab
proto.test,path_beg=/long/path 127.0.0.1:{backend},host=proto-path
proto.test,proto=http 127.0.0.1:{backend},host=proto-http
proto.test,proto=ws 127.0.0.1:{backend},host=proto-ws
ssl.test 127.0.0.1:{backend},host=ssl-any
ssl.test,ssl=yes 127.0.0.1:{backend},host=ssl-yes
ssl-no.test,ssl=no 127.0.0.1:{backend},host=ssl-no
order.test,path_beg=/z 127.0.0.1:{backend},host=order-path
order.test,ssl=no 127.0.0.1:{backend},host=order-ssl
order2.test,ssl=no 127.0.0.1:{backend},host=order2-ssl
order2.test,path_beg=/z 127.0.0.1:{backend},host=order2-path
twice.test 127.0.0.1:{backend},host=twice-first
twice.test,debug 127.0.0.1:{backend},host=twice-second
UPPER.test 127.0.0.1:{backend},host=upper
*.star.test 127.0.0.1:{backend},host=star
port.test:17 127.0.0.1:{backend},host=port-17
,id=byid 127.0.0.1:{backend},host=by-id
127.0.0.5 127.0.0.1:{backend},host=address

# Grammar.
mid"dle,x".test 127.0.0.1:{backend},host=quoted
glued.test 127.0.0.1:{backend},host=glued#comment,host=no
tab.test\t127.0.0.1:{backend},host=tab
one-section.test
badport.test 127.0.0.1:99999
badport.test,path_beg=/ok 127.0.0.1:{backend},host=badport-ok
badproto.test,proto=ftp 127.0.0.1:{backend}
badssl.test,ssl=maybe 127.0.0.1:{backend}
emptybeg.test,path_beg= 127.0.0.1:{backend}
badheader.test,header=nocolon 127.0.0.1:{backend}
open"quote.test 127.0.0.1:{backend}
noprop.test, 127.0.0.1:{backend}
noname.test,=x 127.0.0.1:{backend}
badtarget.test 127.0.0.1:{backend} nowhere
unknown.test,colour=blue 127.0.0.1:{backend},host=unknown,shape=round
lastwins.test 127.0.0.1:{backend},host=first,host=last
   spaces.test    127.0.0.1:{backend},host=spaces

# Rewriting.
as.test,as_host=seen.test 127.0.0.1:{backend}
as-port.test,as_host=seen.test:8081 127.0.0.1:{backend}
as-both.test,as_host=seen.test 127.0.0.1:{backend},host=target.test:99
rem.test,path_rem=4 127.0.0.1:{backend}
rem-none.test,path_rem=x 127.0.0.1:{backend}
replace.test,path_beg=/old,replace_beg=/new/path 127.0.0.1:{backend}
prepend.test,replace_beg=/pre 127.0.0.1:{backend}
replace-rem.test,path_beg=/old,path_rem=2,replace_beg=/new 127.0.0.1:{backend}
set.test,header=X-A:b,header="X-B: c",header=X-Gone: 127.0.0.1:{backend}
set-grip.test,header=Grip-X:1,header=Connection:close,header=Host:other 127.0.0.1:{backend}

# Treatment.
nogrip.test,no_grip 127.0.0.1:{backend}
debug.test,debug 127.0.0.1:{backend}
debug-false.test,debug=false 127.0.0.1:{refusing}
orig.test,orig_headers 127.0.0.1:{backend}
iss.test,sig_iss=somebody 127.0.0.1:{backend}
key.test,sig_key=route-key 127.0.0.1:{backend}
key64.test,sig_key=base64:AAFiaW4= 127.0.0.1:{backend}
key-file.test,sig_key=file:missing.key 127.0.0.1:{backend}
key-es.test,sig_key=file:ec.key 127.0.0.1:{backend}
key-rs.test,sig_key=file:rsa.key 127.0.0.1:{backend}
prefix.test,prefix=pre- 127.0.0.1:{backend}
sub.test 127.0.0.1:{backend},sub=implicit-one,sub=implicit-two

# Fail-over.
down.test 127.0.0.1:{refusing}
down-debug.test,debug 127.0.0.1:{refusing} 127.0.0.1:{refusing}
fail.test 127.0.0.1:{refusing} 127.0.0.1:{second}
both.test 127.0.0.1:{backend} 127.0.0.1:{second}
brief.test 127.0.0.1:{brief} 127.0.0.1:{second}
cert.test 127.0.0.1:{secure},ssl 127.0.0.1:{second}
insecure.test 127.0.0.1:{secure},ssl,insecure
insecure-host.test 127.0.0.1:{secure},ssl,insecure,host=inside.test
untrusted.test,debug 127.0.0.1:{backend},untrusted 127.0.0.1:{second}

# The built-in target.
test.test test
test-beg.test,path_beg=/x test
test-slash.test,path_beg=/x/ test
test-nogrip.test,no_grip test

# Cross-origin.
aco.test,aco 127.0.0.1:{backend}
aco-down.test,aco 127.0.0.1:{refusing}
aco-test.test,aco test
jsonp.test,aco 127.0.0.1:{backend}
jsonp-basic.test,aco,jsonp_mode=basic 127.0.0.1:{backend}
jsonp-basic-get.test,aco,jsonp_mode=basic,jsonp_defmethod=GET 127.0.0.1:{backend}
jsonp-names.test,aco,jsonp_cb=cb,jsonp_body=data,jsonp_defcb=dcb 127.0.0.1:{backend}
jsonp-brief.test,aco 127.0.0.1:{brief}
jsonp-down.test,aco 127.0.0.1:{refusing}
jsonp-mode.test,aco,jsonp_mode=strange 127.0.0.1:{backend}

# WebSockets.
ws.test 127.0.0.1:{backend}
ws-nogrip.test,no_grip 127.0.0.1:{backend}
ws-debug.test,debug 127.0.0.1:{backend}
ws-sub.test 127.0.0.1:{backend},sub=ws-implicit
ws-prefix.test,prefix=wsp- 127.0.0.1:{backend}
ws-fail.test 127.0.0.1:{refusing} 127.0.0.1:{second}
ws-down.test 127.0.0.1:{refusing}
ws-down-debug.test,debug 127.0.0.1:{refusing}
over.test 127.0.0.1:{backend},over_http
over-one.test 127.0.0.1:{backend},over_http,one_event
over-fail.test 127.0.0.1:{refusing},over_http 127.0.0.1:{second},over_http
over-debug.test,debug 127.0.0.1:{backend},over_http

# SockJS.
sock.test,sockjs=/sock,sockjs_as_path=/backend 127.0.0.1:{backend},over_http
sock-aco.test,aco,sockjs=/sock 127.0.0.1:{backend},over_http
"""

BASE = Config("base", BASE_ROUTES)

# Everything that a header may decide is believed; errors say what went wrong.
BELIEVING_ROUTES = """
* 127.0.0.1:{backend},host=star
secure.test,ssl=yes 127.0.0.1:{backend},host=secure
secure.test,ssl=no 127.0.0.1:{backend},host=plain
named.test,id=one 127.0.0.1:{backend},host=one
named.test,id=two,path_beg=/two 127.0.0.1:{backend},host=two
,id=hidden 127.0.0.1:{backend},host=hidden
shared-a.test,id=shared 127.0.0.1:{backend},host=shared-a
shared-b.test,id=shared 127.0.0.1:{backend},host=shared-b
orig.test,orig_headers 127.0.0.1:{backend}
over.test 127.0.0.1:{backend},over_http
nogrip.test,no_grip 127.0.0.1:{backend}
down.test 127.0.0.1:{refusing} 127.0.0.1:{refusing}
"""

BELIEVING = Config(
    "believing",
    BELIEVING_ROUTES,
    {
        "proxy": {
            "debug": "true",
            "accept_x_forwarded_protocol": "true",
            "set_x_forwarded_protocol": "true",
            "accept_pushpin_route": "true",
            "x_forwarded_for": "truncate:1,append",
            "x_forwarded_for_trusted": "truncate:2,append",
            "orig_headers_need_mark": "X-Marked",
            "upstream_key": "upstream",
        },
    },
)

# Everything for every route, small bounds, no signatures.
BARE_ROUTES = """
* 127.0.0.1:{backend}
iss.test,sig_iss=somebody,sig_key=route-key 127.0.0.1:{backend}
down.test 127.0.0.1:{refusing}
orig.test,orig_headers 127.0.0.1:{backend}
"""

BARE = Config(
    "bare",
    BARE_ROUTES,
    {
        "runner": {"client_buffer_size": "2048"},
        "proxy": {
            "auto_cross_origin": "true",
            "set_x_forwarded_protocol": "false",
            "x_forwarded_for": "append",
            "sig_key": "",
        },
        "handler": {
            "message_wait": "1000",
            "id_cache_ttl": "0",
            "connection_subscription_max": "2",
            "push_in_http_max_headers_size": "500",
            "push_in_http_max_body_size": "1000",
        },
    },
)

# Routes of the command line: the file is not used. What is logged says more.
TOLD = Config(
    "told",
    "* 127.0.0.1:{backend},host=of-the-file\n",
    {"proxy": {"log_from": "true", "log_user_agent": "true"}},
    arguments=[
        "--route=* 127.0.0.1:{backend},host=of-the-line",
        "--route",
        "second.test 127.0.0.1:{backend},host=second",
        "--route=bad.test",
        "--route=marker.example test",
        "--loglevel=2",
    ],
)

# Its routes file is changed by the cases.
RELOADED = Config("reloaded", "* 127.0.0.1:{backend},host=first\n")

# Keys in files, for signing and for upstream proxies.
KEYED_ROUTES = """
* 127.0.0.1:{backend}
none.test 127.0.0.1:{backend}
es.test,sig_iss=somebody,sig_key=file:es.key 127.0.0.1:{backend}
rs.test,sig_iss=somebody,sig_key=file:rs.key 127.0.0.1:{backend}
empty.test,sig_iss=somebody,sig_key=file:empty.key 127.0.0.1:{backend}
missing.test,sig_iss=somebody,sig_key=file:missing.key 127.0.0.1:{backend}
broken.test,sig_iss=somebody,sig_key=file:broken.key 127.0.0.1:{backend}
public.test,sig_iss=somebody,sig_key=file:es.pub 127.0.0.1:{backend}
base64.test,sig_iss=somebody,sig_key=base64:?! 127.0.0.1:{backend}
over.test,sig_iss=somebody,sig_key=file:es.key 127.0.0.1:{backend},over_http
six.test,debug [::1]:{refusing}
deflate.test 127.0.0.1:{backend}
"""

KEYED = Config(
    "keyed",
    KEYED_ROUTES,
    {
        "runner": {"http_port": "127.0.0.1:{port},[::1]:{port}"},
        "proxy": {
            "sig_key": "base64:AAFiaW4=",
            "sig_iss": "all of them",
            "upstream_key": "file:es.pub",
            "x_forwarded_for": "truncate:0,append",
        },
        "handler": {"message_wait": "6000"},
    },
    files={
        "es.key": PAIRS["ES256"][0],
        "es.pub": PAIRS["ES256"][1],
        "rs.key": PAIRS["RS256"][0],
        "empty.key": "",
        "broken.key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    },
)

# For cases that wait for long, and that leave others alone.
PATIENT_ROUTES = """
* 127.0.0.1:{backend}
jsonp.test,aco 127.0.0.1:{backend}
jsonp-basic.test,aco,jsonp_mode=basic,jsonp_defmethod=GET 127.0.0.1:{backend}
over.test 127.0.0.1:{backend},over_http
sock.test,sockjs=/sock 127.0.0.1:{backend},over_http
nodns.test does-not-exist.invalid:80 127.0.0.1:{second}
none.test 127.0.0.1:{backend}
"""

PATIENT = Config(
    "patient",
    PATIENT_ROUTES,
    {
        "proxy": {
            "sig_key": "file:es.key",
            "sig_iss": "patient",
            "upstream_key": "file:rs.pub",
        },
        "handler": {"update_on_first_subscription": "true"},
    },
    files={"es.key": PAIRS["ES256"][0], "rs.pub": PAIRS["RS256"][1]},
)

# The ports of the control API are moved by the number of the instance, and by nothing else.
NUMBERED = Config(
    "numbered",
    "* 127.0.0.1:{backend}\n",
    {
        "global": {"port_offset": "3"},
        "handler": {"push_in_http_port": "5561"},
    },
    arguments=["--id={number}"],
)

# The same by the file.
MOVED = Config("moved", "* 127.0.0.1:{backend}\n", {
    "global": {"port_offset": "7"},
    "handler": {"push_in_http_port": "{control_port_less_7}"},
})

ALL = [BASE, BELIEVING, BARE, TOLD, RELOADED, KEYED, PATIENT, NUMBERED, MOVED]
