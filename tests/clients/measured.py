"""Runs a program and throws away what it prints. Prints one JSON object: lines, bytes, exit, and peak_kib, the most
memory that the program had resident.

measured.py PROGRAM [ARGUMENT ...]
"""

import json
import os
import subprocess
import sys

PART_BYTES = 1 << 16

child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
lines = length = 0
while part := child.stdout.read1(PART_BYTES):
    lines += part.count(b"\n")
    length += len(part)
_, status, used = os.wait4(child.pid, 0)
exit_code = os.waitstatus_to_exitcode(status)
print(json.dumps({"lines": lines, "bytes": length, "exit": exit_code, "peak_kib": used.ru_maxrss}))
