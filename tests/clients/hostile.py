"""A client that behaves badly on purpose, for the tests of the limits. Prints one JSON object; needs nothing but Python.

hostile.py MODE PORT ADDRESS COUNT [OPTION=VALUE ...]

It connects from ADDRESS (any of 127.0.0.0/8) to PORT of 127.0.0.1. Modes:
  silent    COUNT connections that say nothing, then one good request beside them
  idle      the same after a handshake
  headers   COUNT connections that send a header line each half second, for as long as they are let
  body      the same with bytes of a body
  handshake the same with bytes of a handshake that does not end
  requests  COUNT requests on as few connections as are let, one after the other
"""

import base64
import collections
import http.client
import json
import select
import socket
import ssl
import sys
import time

mode, port, address, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
options = dict(argument.split("=", 1) for argument in sys.argv[5:])
PATIENCE_S = 60

tls = ssl.create_default_context()
tls.check_hostname = False
tls.verify_mode = ssl.CERT_NONE
if "cert" in options:
    tls.load_cert_chain(options["cert"], options["key"])


def plain():
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S, source_address=(address, 0))


def shaken():
    return tls.wrap_socket(plain(), server_hostname="localhost")


class Connection(http.client.HTTPSConnection):
    def connect(self):
        self.sock = shaken()


def ask(connection, path):
    headers = {name[2:]: value for name, value in options.items() if name.startswith("h.")}
    connection.request(options.get("method", "GET"), path, body=options.get("body"), headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    return answer, text


def beside(connect):
    """Opens connections, looks which of them the other end has closed, and asks once from the same address."""
    connections = [connect() for _ in range(count)]
    answer, _ = ask(Connection("127.0.0.1", port), options["path"])
    deadline = time.monotonic() + 5
    closed = 0
    while time.monotonic() < deadline and closed < int(options["closed"]):
        closed = 0
        for one in connections:
            closed += is_closed(one)
    return {"status": answer.status, "closed": closed}


def is_closed(one):
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        one.setblocking(True)


def slow(start, more, connect=shaken):
    """Sends bit by bit until the other end has had enough."""
    connections = [connect() for _ in range(count)]
    begun = time.monotonic()
    for one in connections:
        one.sendall(start)
    lasted, answers = {}, collections.Counter()
    while len(lasted) < count and time.monotonic() < begun + PATIENCE_S:
        for number, one in enumerate(connections):
            if number in lasted:
                continue
            try:
                if select.select([one], [], [], 0)[0]:
                    answer = one.recv(12).decode()
                    answers.update([answer] if answer else [])
                    raise OSError("answered, or closed")
                one.sendall(more)
            except OSError:
                lasted[number] = time.monotonic() - begun
        time.sleep(0.5)
    return {"shortest_s": min(lasted.values(), default=0), "longest_s": max(lasted.values(), default=0),
            "ended": len(lasted), "answers": answers}


def token(number):
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


def requests():
    connection, statuses, limited = None, collections.Counter(), None
    for number in range(count):
        try:
            connection = connection or Connection("127.0.0.1", port)
            answer, text = ask(connection, options["path"].replace("NUMBER", token(number)))
        except (OSError, http.client.HTTPException):
            connection = None
            statuses["none"] += 1
            continue
        statuses[str(answer.status)] += 1
        if answer.status == 429 and limited is None:
            limited = {"after": number, "retry_after": answer.getheader("Retry-After"), "body": text}
    return {"statuses": statuses, "limited": limited}


if mode == "silent":
    outcome = beside(plain)
elif mode == "idle":
    outcome = beside(shaken)
elif mode == "headers":
    outcome = slow(b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-More: 1\r\n")
elif mode == "body":
    head = (f"POST {options.get('path', '/sign-in')} HTTP/1.1\r\nHost: x\r\nLatchkey-Actor: panel\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10000\r\n\r\n")
    outcome = slow(head.encode() + b"email=", b"a")
elif mode == "handshake":
    # A record of 4 KiB with a ClientHello.
    outcome = slow(b"\x16\x03\x01\x10\x00\x01\x00\x0f\xfc\x03\x03", b"\x00", plain)
else:
    outcome = requests()
print(json.dumps(outcome))
