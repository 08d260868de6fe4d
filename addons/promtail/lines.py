"""Which numbered lines of the shop's customer are in Loki: CLUSTER AGENT RUN FIRST LAST SINCE; prints JSON.

Loki gives 5000 lines at most for one question, so they are asked for page by page, oldest first. A page ends
in the middle of those of one moment, which come again with the next: a line is told by its time and number.
"""

import json
import sys
import time
import urllib.parse
import urllib.request

URL = "http://loki.loki.svc.cluster.local:3100/loki/api/v1/query_range"
PAGE = 5000

cluster, agent, run = sys.argv[1:4]
first, last, since = map(int, sys.argv[4:7])
labels = f'namespace="demo", container="load", cluster="{cluster}", agent="{agent}"'
query = f'{{{labels}}} |= `"run": "{run}"`'
start, end = (since - 60) * 10**9, int((time.time() + 60) * 1e9)
seen: dict[tuple[str, str], int] = {}
while True:
    asked = {"query": query, "start": start, "end": end, "limit": PAGE, "direction": "forward"}
    question = f"{URL}?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(question, timeout=30) as answer:  # noqa: S310
        streams = json.load(answer)["data"]["result"]
    entries = [entry for stream in streams for entry in stream["values"]]
    # Within one stream a line that is there twice has the same time and the same text.
    counted: dict[tuple[str, str], int] = {}
    for moment, text, *_ in entries:
        counted[moment, text] = counted.get((moment, text), 0) + 1
    for key, count in counted.items():
        seen[key] = max(seen.get(key, 0), count)
    if len(entries) < PAGE:
        break
    start = max(int(moment) for moment, *_ in entries)
numbers: dict[int, int] = {}
for (_, text), count in seen.items():
    line = json.loads(text)
    numbers[line["seq"]] = numbers.get(line["seq"], 0) + count
wanted = range(first + 1, last + 1)
missing = [number for number in wanted if number not in numbers]
twice = [number for number in wanted if numbers.get(number, 0) > 1]
print(  # noqa: T201
    json.dumps(
        {
            "looked_for": len(wanted),
            "missing": len(missing),
            "twice": len(twice),
            "first_missing": missing[:1],
            "last_missing": missing[-1:],
        }
    )
)
