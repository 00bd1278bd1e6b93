"""flood.py ADDRESS MESSAGE CONTENT_ID CHUNKS CONNECTIONS: says one message to a daemon without end, from several hosts.

Prints "flooding" when it is answered, and "said BYTES taken BYTES" when it is ended by SIGTERM. It has a process of its own, so that
what is measured beside it does not wait for it.
"""

import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "support"))

from p2p_flood import Comer, Flood  # noqa: E402

HOSTS = 4
GREETING_BYTES = 2_000


def words_of(message, chunks):
    """What is said behind OPEN; None for what is said by connecting."""
    return {
        "WHICH": "WHICH file.bin\n",
        "GET-PEERS": "GET-PEERS\n",
        "GET-HASHES": "GET-HASHES 0 0\n",
        "REQUEST": "REQUEST 0 8\n",
        "REQUEST-refused": "REQUEST 0 4096\n",
        "REQUEST-LEAVES": "".join(f"REQUEST-LEAVES {chunk} 0 1\n" for chunk in range(chunks)),
        "GET_CHUNK-unknown": "GET_CHUNK nowhere.bin 0\n",
        "OPEN": None,
    }[message]


def begin(address, message, content_id, chunks, number):
    source = f"127.0.4.{1 + number % HOSTS}"
    greeting = f"HELLO 3 id={number + 1:064x} leaves\nOPEN {content_id}\n".encode()
    words = words_of(message, chunks)
    if words is None:
        return Comer(address, greeting, source)
    if message == "REQUEST-refused":  # of a content that is not here
        greeting = greeting.replace(content_id.encode(), b"0" * len(content_id))
    # Who opens and uses nothing that there is loses its place.
    greeting = b"" if message.startswith("GET_CHUNK") else greeting + b"SUBSCRIBE\n"
    return Flood(address, words.encode(), greeting, source)


def main():
    address, message, content_id, chunks, connections = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    floods = [begin(address, message, content_id, int(chunks), n) for n in range(int(connections))]
    if message == "OPEN":
        while not any(flood.refused for flood in floods):
            time.sleep(0.01)
    else:
        while not all(flood.taken > GREETING_BYTES for flood in floods):
            time.sleep(0.01)
    print("flooding", flush=True)
    try:
        signal.pause()
    finally:
        print("said", sum(getattr(flood, "said", 0) for flood in floods),
              "taken", sum(getattr(flood, "taken", 0) for flood in floods),
              "ended", sum(getattr(flood, "was_ended", False) for flood in floods), flush=True)


if __name__ == "__main__":
    main()
