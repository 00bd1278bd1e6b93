"""Deterministic content for tests, and the content id of BEP 52 computed without any of our code.

Sizes are in bytes. Nothing here talks to a program under test.
"""
import hashlib
import os
import random

CHUNK = 524_288
LEAF = 16_384
MIB = 1 << 20


def make_bytes(size, seed=1):
    """The same `size` bytes for the same seed, on every machine."""
    return random.Random(seed).randbytes(size)


def make_file(path, size, seed=1):
    """Writes make_bytes(size, seed) to `path` and returns their SHA-256."""
    digest = hashlib.sha256()
    generator = random.Random(seed)
    with open(path, "wb") as out:
        while size > 0:
            piece = generator.randbytes(min(size, 8 * MIB))
            digest.update(piece)
            out.write(piece)
            size -= len(piece)
    return digest.hexdigest()


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while piece := source.read(4 * MIB):
            digest.update(piece)
    return digest.hexdigest()


def make_tree(root, files):
    """`files`: {relative path: bytes, or (bytes, mode)}. Makes the directories that are needed."""
    for relative, what in files.items():
        data, mode = what if isinstance(what, tuple) else (what, 0o644)
        path = os.path.join(root, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(data)
        os.chmod(path, mode)


def tree_of(root):
    """{relative path: (SHA-256, is executable)} of every file below `root`."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            executable = bool(os.stat(path).st_mode & 0o100)
            found[os.path.relpath(path, root)] = (sha256(path), executable)
    return found


# --- BEP 52 ---------------------------------------------------------------------------------------


def _hash(data):
    return hashlib.sha256(data).digest()


def _merkle_root(hashes, pad):
    count = 1
    while count < len(hashes):
        count *= 2
    row = list(hashes) + [pad] * (count - len(hashes))
    while len(row) > 1:
        row = [_hash(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def file_root(data):
    """`pieces root` of a file that is not empty."""
    leaves = [_hash(data[at:at + LEAF]) for at in range(0, len(data), LEAF)]
    return _merkle_root(leaves, bytes(32))


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    out = b"d"
    for key in sorted(value, key=lambda k: k.encode() if isinstance(k, str) else k):
        out += bencode(key) + bencode(value[key])
    return out + b"e"


def _file_entry(data, executable=False):
    entry = {"length": len(data)}
    if executable:
        entry["attr"] = "x"
    if data:
        entry["pieces root"] = file_root(data)
    return {"": entry}


def _info(name, file_tree):
    return bencode({"file tree": file_tree, "meta version": 2, "name": name,
                    "piece length": CHUNK})


def _content_id(name, file_tree):
    return hashlib.sha256(_info(name, file_tree)).hexdigest()


def content_id_of_file(name, data, executable=False):
    return _content_id(name, {name: _file_entry(data, executable)})


def content_id_of_tree(name, files):
    """`files` as for make_tree."""
    tree = {}
    for relative, what in files.items():
        data, mode = what if isinstance(what, tuple) else (what, 0o644)
        *directories, last = relative.split("/")
        node = tree
        for directory in directories:
            node = node.setdefault(directory, {})
        node[last] = _file_entry(data, bool(mode & 0o100))
    return _content_id(name, tree)


class Content:
    """A share of one file of more than a chunk, as docs/protocol.md has it."""

    def __init__(self, name, data):
        assert len(data) > CHUNK
        self.data = data
        self.info = _info(name, {name: _file_entry(data)})
        self.id = hashlib.sha256(self.info).hexdigest()
        self.chunk_count = (len(data) + CHUNK - 1) // CHUNK
        self._rows = {}
        self.chunk_hashes = [self._tree(i)[-1][0] for i in range(self.chunk_count)]

    def write(self, path):
        """Its SHA-256."""
        with open(path, "wb") as out:
            out.write(self.data)
        return sha256(path)

    def chunk(self, index):
        return self.data[index * CHUNK:(index + 1) * CHUNK]

    def leaves(self, index, first, count):
        return self.chunk(index)[first * LEAF:(first + count) * LEAF]

    def proof(self, index, first, count):
        """Hashes that lead from these leaves to the chunk's hash."""
        rows = self._tree(index)
        level = count.bit_length() - 1
        node = first // count
        hashes = []
        for row in rows[level:-1]:
            hashes.append(row[node ^ 1])
            node //= 2
        return hashes

    def magnet(self, *addresses):
        return f"magnet:?xt=urn:btmh:1220{self.id}" + "".join(f"&x.pe={a}" for a in addresses)

    def _tree(self, index):
        """The rows of a chunk's tree, from its leaves up."""
        if index not in self._rows:
            chunk = self.chunk(index)
            row = [_hash(chunk[at:at + LEAF]) for at in range(0, len(chunk), LEAF)]
            row += [bytes(32)] * (CHUNK // LEAF - len(row))
            self._rows[index] = _rows_above(row)
        return self._rows[index]


def _rows_above(row):
    """It, and the rows of nodes above it up to the root."""
    rows = [row]
    while len(rows[-1]) > 1:
        last = rows[-1]
        rows.append([_hash(last[i] + last[i + 1]) for i in range(0, len(last), 2)])
    return rows


class PaddedContent(Content):
    """Two chunks; the missing leaves of the last one do not have the hash that BEP 52 gives them."""

    def __init__(self, name, data):
        super().__init__(name, data)
        assert self.chunk_count == 2
        row = self._tree(1)[0]
        leaf_count = (len(self.chunk(1)) + LEAF - 1) // LEAF
        self._rows[1] = _rows_above(row[:leaf_count] + [b"\xee" * 32] * (len(row) - leaf_count))
        self.chunk_hashes[1] = self._rows[1][-1][0]
        self.info = _info(name, {name: {"": _entry(len(data), _hash(b"".join(self.chunk_hashes)))}})
        self.id = hashlib.sha256(self.info).hexdigest()


def _entry(length, root):
    return {"length": length, "pieces root": root}


def huge_manifest(name, length):
    """Of one file that nobody has."""
    return _info(name, {name: {"": _entry(length, b"r" * 32)}})
