"""Connections that leave a key exchange unfinished. Says when they are at that, and ends when the server has ended all."""

import sys
import time

import paramiko
from paramiko.common import MSG_KEXINIT, cMSG_CHANNEL_DATA

how, port, login, password, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])

READ_AT_ONCE = 64
CHUNK = 256 * 1024


class Stalling:
    """A connection that answers no key exchange, with an SFTP session on which it has asked for much and reads nothing."""

    def __init__(self):
        self.transport = paramiko.Transport(("127.0.0.1", port))
        self.transport.connect(username=login, password=password)
        self.transport._handler_table[MSG_KEXINIT] = lambda message: None
        self.channel = self.transport.open_session(window_size=CHUNK)
        self.channel.invoke_subsystem("sftp")
        self.send(b"\x01" + number(3))
        self.send(b"\x03" + number(1) + text(b"f") + number(1) + number(0))
        for _ in range(READ_AT_ONCE):
            self.read()

    def read(self):
        handle = text(number(1))
        self.send(b"\x05" + number(9) + handle + bytes(8) + number(CHUNK))

    def send(self, packet):
        """Past the window and whatever is under way."""
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_DATA)
        message.add_int(self.channel.remote_chanid)
        message.add_string(text(packet))
        self.transport.packetizer.send_message(message)

    def flood(self):
        """Until the server has had enough."""
        try:
            while self.transport.is_active():
                self.read()
        except (OSError, EOFError):
            pass


def number(value):
    return value.to_bytes(4, "big")


def text(value):
    return number(len(value)) + value


connections = [Stalling() for _ in range(count)]
for connection in connections:
    if how.startswith("begins"):
        connection.transport._send_kex_init()
    if how.endswith("floods"):
        connection.flood()
print("stalled", flush=True)
deadline = time.monotonic() + 60
while any(connection.transport.is_active() for connection in connections):
    assert time.monotonic() < deadline, "the server goes on with them"
    time.sleep(0.05)
