"""asyncssh and paramiko, with a password and with a key. Raises when something is not as it should be."""

import asyncio
import os
import sys

import asyncssh
import paramiko

port, login, password, key = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


async def with_asyncssh():
    options = {"port": port, "username": login, "client_keys": [key], "known_hosts": None, "config": None}
    async with asyncssh.connect("127.0.0.1", **options) as connection:
        async with connection.start_sftp_client() as sftp:
            await sftp.mkdir("async")
            content = os.urandom(1_000_000)
            async with sftp.open("async/file", "wb") as file:
                await file.write(content)
            async with sftp.open(b"async/caf\xe9", "wb") as file:
                await file.write(b"latin")
            assert sorted(await sftp.listdir(b"async"))[-2:] == [b"caf\xe9", b"file"]
            async with sftp.open("async/file", "rb") as file:
                assert await file.read() == content
            await sftp.remote_copy("async/file", "async/copy")
            assert (await sftp.stat("async/copy")).size == len(content)
            assert (await sftp.statvfs("/")).bsize > 0
            await sftp.posix_rename("async/copy", "async/file")


def with_paramiko():
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", port, login, password, allow_agent=False, look_for_keys=False)
    with client.open_sftp() as sftp:
        sftp.get("large", "large")
        content = os.urandom(3_000_000)
        with sftp.open("para", "wb") as file:
            file.set_pipelined(True)
            file.write(content)
        with sftp.open("para", "rb") as file:
            file.prefetch()
            assert file.read() == content
        with sftp.open("para", "ab") as file:
            file.write(b"end")
        assert sftp.stat("para").st_size == len(content) + 3
        sftp.truncate("para", 10)
        sftp.utime("para", (1_000_000_000, 1_000_000_001))
        assert sftp.lstat("para").st_mtime == 1_000_000_001
        sftp.remove("para")
    client.close()


asyncio.run(with_asyncssh())
with_paramiko()
