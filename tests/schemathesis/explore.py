"""Calls everything that the OpenAPI document lists, with inputs that schemathesis makes up, as one actor. Prints one JSON object.

explore.py FILE, where FILE holds JSON:
  origin, ca, cert, key  the panel API and a client certificate
  actor                  for whom (`panel` or an address)
  document               the OpenAPI document
  ids                    real values of path parameters and fields, by their name, which half of the calls use
  spared                 values that nothing is done to but reading
  markers                strings; for each it is counted in how many replies it stood
  seconds                how long; every call of the document is made in any case
  seed                   of the first round

A failure is a status or a media type that the document does not list for the call, a body that is not of its shape, 500
(a fault of the agent), and no answer.
"""

import collections
import json
import random
import sys
import time

import hypothesis
import requests
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode

options = json.load(open(sys.argv[1]))
CHECKED = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
EXAMPLES_OF_A_ROUND = 4
PATIENCE_S = 40
MOST_FAILURES = 20

session = requests.Session()
session.trust_env = False
TLS = {"verify": options["ca"], "cert": (options["cert"], options["key"])}

statuses, marked, failures = collections.Counter(), collections.Counter(), []
called = collections.Counter()


def make_real(case, chance):
    """Puts real values into half of the places that can take one."""
    for place in (case.path_parameters, case.body):
        if not isinstance(place, dict):
            continue
        for name in place:
            known = options["ids"].get(name)
            if known and chance.random() < 0.5:
                place[name] = chance.choice(known)
                if case.method.upper() != "GET" and place[name] in options["spared"]:
                    place[name] = known[0]


def call(case, chance):
    make_real(case, chance)
    # A header with control characters is no HTTP: the connection is refused before there is a call.
    for header in [name for name, value in case.headers.items() if any(ord(one) < 32 or ord(one) == 127 for one in str(value))]:
        del case.headers[header]
    case.headers["Latchkey-Actor"] = options["actor"]
    name = f"{case.method.upper()} {case.operation.path}"
    try:
        response = case.call(base_url=options["origin"], session=session, timeout=PATIENCE_S, **TLS)
    except requests.RequestException as error:
        failures.append({"call": name, "why": f"no answer: {error}"})
        return
    called[name] += 1
    statuses[response.status_code] += 1
    text = response.text + json.dumps(dict(response.headers))
    for marker in options["markers"]:
        marked[marker] += marker in text
    if response.status_code == 500:
        failures.append({"call": name, "why": f"{response.status_code}: {response.text[:500]}"})
    try:
        case.validate_response(response, checks=CHECKED)
    except (Failure, FailureGroup) as error:
        found = error.exceptions if isinstance(error, FailureGroup) else [error]
        why = " / ".join(str(one)[:600] for one in found)
        failures.append({"call": name, "why": why, "status": response.status_code, "request": case.as_curl_command()[:600]})


def round_of(operation, mode, seed):
    @hypothesis.seed(seed)
    @settings(max_examples=EXAMPLES_OF_A_ROUND, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), number=st.integers(0, 2**32))
    def some(case, number):
        call(case, random.Random(number))

    try:
        some()
    except hypothesis.errors.Unsatisfiable:
        # Nothing about such a call can be wrong.
        assert mode == GenerationMode.NEGATIVE, operation.label


schema = schemathesis.openapi.from_dict(options["document"])
operations = [found.ok() for found in schema.get_all_operations()]
deadline, seed = time.monotonic() + options["seconds"], options["seed"]
while seed == options["seed"] or time.monotonic() < deadline:
    for operation in operations:
        if len(failures) >= MOST_FAILURES or (seed > options["seed"] and time.monotonic() >= deadline):
            break
        mode = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE][(seed - options["seed"]) % 2]
        round_of(operation, mode, seed)
    seed += 1
    if len(failures) >= MOST_FAILURES:
        break

never = [f"{one.method.upper()} {one.path}" for one in operations if not called[f"{one.method.upper()} {one.path}"]]
print(json.dumps({"calls": sum(called.values()), "rounds": seed - options["seed"], "never_called": never,
                  "statuses": statuses, "marked": marked, "failures": failures[:MOST_FAILURES]}))
