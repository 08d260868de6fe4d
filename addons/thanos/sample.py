"""Sends one sample as Prometheus does, and prints the status of the answer: ``sample.py TENANT NONCE``.

Remote write is a protobuf message in snappy's block format. Standard library only; runs in the lab's probes.
"""

import struct
import sys
import time
import urllib.error
import urllib.request

URL = "http://thanos-receive.thanos.svc.cluster.local:19291/api/v1/receive"
LITERAL = 60
"""The longest literal of snappy whose length fits into its first byte."""


def varint(number: int) -> bytes:
    """Write a number, seven bits to a byte, the lowest first."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, data: bytes) -> bytes:
    """Write a field of a message that has a length."""
    return varint((number << 3) | 2) + varint(len(data)) + data


def label(name: str, value: str) -> bytes:
    """Write a label of a series."""
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def snappy(data: bytes) -> bytes:
    """Write ``data`` as literals alone, which is valid though nothing gets shorter."""
    parts = [data[start : start + LITERAL] for start in range(0, len(data), LITERAL)]
    return varint(len(data)) + b"".join(bytes([(len(part) - 1) << 2]) + part for part in parts)


def write_request(tenant: str, nonce: str, now_ms: int) -> bytes:
    """Return a write request with the sample ``lab_check_sample{cluster, nonce} 1``."""
    labels = label("__name__", "lab_check_sample") + label("cluster", tenant) + label("nonce", nonce)
    sample = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + varint(now_ms)
    return field(1, labels + field(2, sample))


def send(tenant: str, nonce: str, url: str = URL) -> int:
    """Send it, and return the status of the answer. Raises OSError, which urllib's errors are."""
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
        "THANOS-TENANT": tenant,
    }
    body = snappy(write_request(tenant, nonce, int(time.time() * 1000)))
    request = urllib.request.Request(url, body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return int(answer.status)


def main(tenant: str, nonce: str) -> None:
    """Send it. What goes wrong is printed: whoever reads it tries again."""
    try:
        print(send(tenant, nonce))  # noqa: T201
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode(errors="replace"))  # noqa: T201
    except OSError as error:
        print(error)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
