"""``python -m benchmarks.viewers PORT PAGES``: that many open pages of a dashboard, and a scrape a second, for a while.

Says ``watching`` when all pages have been greeted. On ``count`` it says how many bytes and scrapes there were since the
last count. Ends with its standard input.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from typing import Final

import requests

CHUNK: Final = 262_144


def page(port: int) -> socket.socket:
    """An open page: its stream, which is only read."""
    found = socket.create_connection(("127.0.0.1", port), timeout=30)
    found.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return found


def main(port: int, pages: int) -> None:
    """Read and scrape."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    greeted: set[int] = set()
    for _ in range(pages):
        selector.register(page(port), selectors.EVENT_READ)
    session, scrape_at = requests.Session(), time.monotonic()
    told = taken = scrapes = 0
    while True:
        for key, _ in selector.select(max(0.0, scrape_at - time.monotonic())):
            if key.fd == sys.stdin.fileno():
                if not sys.stdin.readline():
                    return
                print("counted", taken - told, scrapes, flush=True)
                told, scrapes = taken, 0
                continue
            data = key.fileobj.recv(CHUNK)  # type: ignore[union-attr]
            if not data:
                sys.exit("a page was cut off")
            taken += len(data)
            greeted.add(key.fd)
            if len(greeted) == pages:
                greeted.add(-1)
                print("watching", flush=True)
        if time.monotonic() >= scrape_at:
            scrape_at += 1.0
            session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).raise_for_status()
            scrapes += 1


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
