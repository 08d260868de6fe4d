"""Pushes a line to Loki, as any program may: ``push.py CLUSTER LINE`` prints the status, or why not."""

import json
import sys
import time
from urllib.request import Request, urlopen

URL = "http://loki.loki.svc.cluster.local:3100/loki/api/v1/push"

_, cluster, line = sys.argv
stream = {"stream": {"cluster": cluster, "job": "lab-check"}, "values": [[str(time.time_ns()), line]]}
request = Request(URL, json.dumps({"streams": [stream]}).encode(), {"Content-Type": "application/json"})
try:
    print(urlopen(request, timeout=5).status)  # noqa: S310, T201
except OSError as error:
    print(json.dumps(str(error)))  # noqa: T201
