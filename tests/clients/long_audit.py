"""Makes the audit of a stopped agent long: appends rows as the agent would have, each chained to the one before.

long_audit.py DATABASE COUNT
"""

import hashlib
import json
import sqlite3
import sys

database, count = sys.argv[1], int(sys.argv[2])


def rows(seq, previous):
    """COUNT rows after this one, as they are stored."""
    for number in range(seq + 1, seq + 1 + count):
        row = json.dumps(
            {
                "seq": number,
                "at": "2026-01-01T00:00:00Z",
                "actor": "somebody@example.org",
                "via": "gateway",
                "operation": "share.update",
                "outcome": "denied",
                "detail": f"{number:0400}",
            },
            separators=(",", ":"),
        )
        previous = hashlib.sha256(previous + row.encode()).digest()
        yield number, row, previous


connection = sqlite3.connect(database)
with connection:
    newest = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    connection.executemany("INSERT INTO audit (seq, row, hash) VALUES (?, ?, ?)", rows(*(newest or (0, b""))))
connection.close()
