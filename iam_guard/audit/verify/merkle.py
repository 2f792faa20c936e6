"""The Merkle tree of RFC 6962 (section 2.1) over SHA-256: roots, and the proofs of inclusion and of consistency.

A tree that only grows needs few hashes to go on: the roots of the perfect subtrees that its size is made of, one for
each bit that is set. `Tree` keeps those and nothing else. A proof needs more, the hashes of whole ranges: whoever makes
one gives a function from a range of leaves to its hash, such as `Subtrees`, which knows the leaves from some place on
and, of all before, the tree's state at that place. So a proof about a record reads the leaves of one segment, never
those of the whole shard.

Pure: no file, no key, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256().digest()

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Hash what a leaf holds."""
    return sha256(_LEAF + data).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Hash what many leaves hold."""
    return [sha256(_LEAF + data).digest() for data in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into the one above them."""
    return sha256(_NODE + left + right).digest()


class Tree:
    """A tree that grows at its right end, known by its size and the roots of its perfect subtrees."""

    __slots__ = ("_levels", "size")

    def __init__(self, size: int = 0, state: Sequence[bytes] = ()) -> None:
        """Go on from a `state`: the roots of the perfect subtrees, the largest first."""
        if size < 0 or len(state) != size.bit_count() or any(len(each) != HASH_BYTES for each in state):
            raise ValueError(f"expected {max(size, 0).bit_count()} hashes as the state of {size} leaves")
        rest = list(state)
        self.size = size
        self._levels = [rest.pop() if size >> level & 1 else b"" for level in range(size.bit_length())]

    @property
    def state(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, the largest first."""
        return tuple(level for level in reversed(self._levels) if level)

    def copy(self) -> Tree:
        twin = Tree()
        twin.size, twin._levels = self.size, self._levels.copy()
        return twin

    def append(self, leaf: bytes) -> None:
        """Add one leaf, by its hash."""
        self.extend((leaf,))

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaves, by their hashes: level by level, which takes half the time of one by one."""
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
        return root or EMPTY_ROOT


# --- ranges ------------------------------------------------------------------------------------------------------

RangeHash = Callable[[int, int], bytes]
"""The hash of the leaves from the first number to before the second."""


class Subtrees:
    """Hashes of ranges, from the leaves from `first` on and the state of the tree of the `first` leaves before them."""

    def __init__(self, leaves: Sequence[bytes], first: int = 0, state: Sequence[bytes] = ()) -> None:
        Tree(first, state)  # refuses a state that is none
        self._leaves = leaves
        self._first = first
        self._known: dict[tuple[int, int], bytes] = {}
        begin = 0
        for root in state:
            end = begin + _highest_bit(first - begin)
            self._known[begin, end] = root
            begin = end

    def __call__(self, begin: int, end: int) -> bytes:
        """Return the hash of a range; raise `ValueError` where it lies before what is known."""
        known = self._known.get((begin, end))
        if known is not None:
            return known
        if begin >= self._first:
            tree = Tree()
            tree.extend(self._leaves[begin - self._first : end - self._first])
            if tree.size != end - begin or not tree.size:
                raise ValueError(f"the leaves {begin} to {end} are not known")
            return tree.root()
        if end - begin < 2:
            raise ValueError(f"leaf {begin} is not known")
        middle = begin + _split(end - begin)
        return node_hash(self(begin, middle), self(middle, end))


# --- proofs ------------------------------------------------------------------------------------------------------


def inclusion_proof(index: int, size: int, hash_of: RangeHash) -> list[bytes]:
    """Prove that a leaf is in the tree of that size (RFC 6962, 2.1.1): the hashes beside its path, lowest first."""
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


def consistency_proof(old: int, new: int, hash_of: RangeHash) -> list[bytes]:
    """Prove that the tree of size `old` is the beginning of the tree of size `new` (RFC 6962, 2.1.2)."""
    if not 0 < old <= new:
        raise ValueError(f"a tree of {old} leaves is not the beginning of one of {new}")
    proof: list[bytes] = []
    begin, end = 0, new
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            proof.append(hash_of(middle, end))
            end = middle
        else:
            proof.append(hash_of(begin, middle))
            begin = middle
    if begin > 0:
        proof.append(hash_of(begin, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the proof shows that the leaf stands at this place of the tree with this root."""
    if not 0 <= index < size:
        return False
    below, above, found = index, size - 1, leaf
    for beside in proof:
        if above == 0 or len(beside) != HASH_BYTES:
            return False
        if below & 1 or below == above:
            found = node_hash(beside, found)
            while not below & 1 and below:
                below, above = below >> 1, above >> 1
        else:
            found = node_hash(found, beside)
        below, above = below >> 1, above >> 1
    return above == 0 and found == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Return whether the proof shows that the tree with the old root is the beginning of that with the new one."""
    if not 0 < old <= new or any(len(each) != HASH_BYTES for each in proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not path:
        return False
    below, above = old - 1, new - 1
    while below & 1:
        below, above = below >> 1, above >> 1
    first = second = path[0]
    for beside in path[1:]:
        if above == 0:
            return False
        if below & 1 or below == above:
            first, second = node_hash(beside, first), node_hash(beside, second)
            while not below & 1 and below:
                below, above = below >> 1, above >> 1
        else:
            second = node_hash(second, beside)
        below, above = below >> 1, above >> 1
    return above == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """Return how many of so many leaves are in the left subtree: the largest power of two below."""
    return 1 << (size - 1).bit_length() - 1


def _highest_bit(size: int) -> int:
    return 1 << size.bit_length() - 1
