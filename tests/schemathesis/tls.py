"""Which versions of TLS and which suites a port takes, as sslyze finds them. Prints one JSON object: names by version.

tls.py PORT [CERTIFICATE KEY]
"""

import json
import sys
from pathlib import Path

from sslyze import (ClientAuthenticationCredentials, ScanCommand, Scanner, ServerNetworkConfiguration,
                    ServerNetworkLocation, ServerScanRequest)

VERSIONS = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"]

credentials = None
if len(sys.argv) > 2:
    credentials = ClientAuthenticationCredentials(Path(sys.argv[2]), Path(sys.argv[3]))
scanner = Scanner()
scanner.queue_scans([ServerScanRequest(
    ServerNetworkLocation("localhost", int(sys.argv[1]), ip_address="127.0.0.1"),
    ServerNetworkConfiguration("localhost", tls_client_auth_credentials=credentials),
    {ScanCommand[f"{version.upper()}_CIPHER_SUITES"] for version in VERSIONS})])
(result,) = scanner.get_results()
if result.scan_result is None:
    sys.exit(f"the port could not be scanned: {result.connectivity_error_trace}")
attempts = {version: getattr(result.scan_result, f"{version}_cipher_suites") for version in VERSIONS}
for version, attempt in attempts.items():
    if attempt.result is None:
        sys.exit(f"{version} could not be tried: {attempt.error_reason} {attempt.error_trace}")
print(json.dumps({version: [one.cipher_suite.name for one in attempt.result.accepted_cipher_suites]
                  for version, attempt in attempts.items()}))
