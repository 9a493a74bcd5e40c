"""Stands where the AWS CLI looks for the session-manager-plugin, which no package registry has. It hands the session to
pyssm-client, a client of the same protocol that knows nothing of Berth."""

import asyncio
import json
import sys

from pyssm_client.cli.coordinator import SessionManagerPlugin
from pyssm_client.cli.types import ConnectArguments

if len(sys.argv) == 1:
    # The CLI asks whether it is there.
    sys.exit(0)

# As the CLI hands it over: awscli/customizations/ecs/executecommand.py.
session, region, operation, profile, request, endpoint = sys.argv[1:]
assert operation == "StartSession", operation
session = json.loads(session)
target = json.loads(request)["Target"]
assert target.startswith("ecs:"), target
print(f"\nStarting session with SessionId: {session['sessionId']}", flush=True)
arguments = ConnectArguments.from_dict({**session, "target": target})
sys.exit(asyncio.run(SessionManagerPlugin().run_session(arguments)))
