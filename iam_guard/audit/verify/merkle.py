"""The Merkle tree of RFC 6962 (section 2.1) over SHA-256: roots and inclusion proofs.

An append-only tree needs few hashes to continue: the roots of its perfect subtrees, one for each bit set in its size.
`Tree` keeps only those. A proof needs the hashes of whole ranges: its caller passes a function from a range of leaves
to a hash, such as `Subtrees`, which has the leaves from some index on and the tree's state at that index. So proving a
record reads the leaves of one segment, not of the whole shard.

Pure: no file, no key, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    return sha256(_LEAF + data).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    return [sha256(_LEAF + data).digest() for data in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the parent of two subtrees."""
    return sha256(_NODE + left + right).digest()


class Tree:
    """An append-only tree, stored as its size and the roots of its perfect subtrees."""

    __slots__ = ("_levels", "size")

    def __init__(self, size: int = 0, state: Sequence[bytes] = ()) -> None:
        """Continue from a `state`, the roots of the perfect subtrees, largest first; raise `ValueError` for others."""
        if size < 0 or len(state) != size.bit_count() or any(len(each) != HASH_BYTES for each in state):
            raise ValueError(f"expected {max(size, 0).bit_count()} hashes as the state of {size} leaves")
        rest = list(state)
        self.size = size
        self._levels = [rest.pop() if size >> level & 1 else b"" for level in range(size.bit_length())]

    @property
    def state(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, largest first."""
        return tuple(level for level in reversed(self._levels) if level)

    def copy(self) -> Tree:
        tree = Tree()
        tree.size, tree._levels = self.size, self._levels.copy()
        return tree

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append the hashes of leaves, level by level: twice as fast as one by one."""
        self.size += len(leaves)
        nodes, level = list(leaves), 0
        while nodes:
            if level == len(self._levels):
                self._levels.append(b"")
            if self._levels[level]:
                nodes.insert(0, self._levels[level])
            self._levels[level] = nodes.pop() if len(nodes) & 1 else b""
            pairs = iter(nodes)
            nodes = [sha256(_NODE + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            level += 1

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        root = b""
        for subtree in self._levels:
            if subtree:
                root = node_hash(subtree, root) if root else subtree
        return root or sha256().digest()


class Subtrees:
    """Hashes of ranges, computed from the leaves at `first` and after, and the tree's state before them."""

    def __init__(self, leaves: Sequence[bytes], first: int = 0, state: Sequence[bytes] = ()) -> None:
        Tree(first, state)  # validates the state
        self._leaves = leaves
        self._first = first
        self._prefix: dict[tuple[int, int], bytes] = {}
        begin = 0
        for root in state:
            end = begin + (1 << (first - begin).bit_length() - 1)
            self._prefix[begin, end] = root
            begin = end

    def __call__(self, begin: int, end: int) -> bytes:
        """Return the hash of a range; raise `ValueError` if its leaves are not available."""
        known = self._prefix.get((begin, end))
        if known is not None:
            return known
        if begin >= self._first:
            tree = Tree()
            tree.extend(self._leaves[begin - self._first : end - self._first])
            if tree.size != end - begin or not tree.size:
                raise ValueError(f"leaves {begin} to {end} are not available")
            return tree.root()
        if end - begin < 2:
            raise ValueError(f"leaf {begin} is not available")
        middle = begin + _split(end - begin)
        return node_hash(self(begin, middle), self(middle, end))


# --- proofs ------------------------------------------------------------------------------------------------------


def inclusion_proof(index: int, size: int, hash_of: Callable[[int, int], bytes]) -> list[bytes]:
    """Prove that a leaf is in the tree of that size (RFC 6962, 2.1.1): the hashes beside its path, lowest first.

    `hash_of` returns the hash of the leaves from the first index up to, not including, the second.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    proof: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(hash_of(middle, end))
            end = middle
        else:
            proof.append(hash_of(begin, middle))
            begin = middle
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the proof shows that the leaf is at this index of the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0 or len(sibling) != HASH_BYTES:
            return False
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def _split(size: int) -> int:
    """Return the number of leaves in the left subtree: the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
