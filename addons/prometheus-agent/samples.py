"""Whether a cluster's samples are all in Thanos: CLUSTER TENANT SINCE INTERVAL; prints JSON.

A target that is looked at every INTERVAL seconds gives a sample of ``up`` each time, whether it answers or
not. So the moments of these, and of a counter of the shop, are an interval apart, or samples between them
are lost.
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from itertools import pairwise

URL = "http://thanos-query.thanos.svc.cluster.local:9090/api/v1/query"
SERIES = ('up{%s,job="prometheus-agent"}', 'up{%s,job="pods",namespace="demo"}', "demo_orders_total{%s}")

cluster, tenant, since, interval = *sys.argv[1:3], *map(int, sys.argv[3:5])
labels = f'tenant_id="{tenant}",cluster="{cluster}"'
# The newest samples are still on their way.
until = int(time.time()) - 2 * interval
series, samples, lost, largest, fewest = 0, 0, 0, 0.0, 0
for selector in SERIES:
    query = (selector % labels) + f"[{until - since}s]"
    asked = urllib.parse.urlencode({"query": query, "time": until, "dedup": "false"})
    with urllib.request.urlopen(f"{URL}?{asked}", timeout=30) as answer:  # noqa: S310
        found = json.load(answer)["data"]["result"]
    for each in found:
        moments = [since, *(moment for moment, _ in each["values"]), until]
        gaps = [late - early for early, late in pairwise(moments)]
        series += 1
        samples += len(each["values"])
        fewest = min(fewest or len(each["values"]), len(each["values"]))
        largest = max(largest, *gaps)
        # At both ends nothing is missing before a whole interval has passed.
        lost += sum(max(0, round(gap / interval) - 1) for gap in gaps[1:-1])
        lost += sum(int(gap / interval) for gap in (gaps[0], gaps[-1]) if gap > 1.5 * interval)
print(  # noqa: T201
    json.dumps(
        {
            "series": series,
            "samples": samples,
            "fewest_in_a_series": fewest,
            "lost": lost,
            "largest_gap_s": round(largest, 1),
        }
    )
)
