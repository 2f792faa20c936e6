"""The Merkle tree of RFC 6962: published vectors, a reference written from the RFC's recursion, and laws of the proofs.

The vectors are data of transparency-dev/merkle (Apache-2.0), `testonly/constants.go` and `testonly/reference_test.go`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.verify.merkle import (
    Subtrees,
    Tree,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    verify_inclusion,
)
from tests.tables import table

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "rfc6962.json").read_text("utf-8"))
LEAVES = [bytes.fromhex(each) for each in VECTORS["leaves"]]
HASHES = leaf_hashes(LEAVES)
MANY = [leaf_hash(b"%d" % number) for number in range(300)]
SIZES = st.integers(1, len(MANY))


def tree_of(leaves: Sequence[bytes]) -> Tree:
    tree = Tree()
    tree.extend(leaves)
    return tree


@lru_cache(None)
def reference(begin: int, end: int) -> bytes:
    """MTH of the RFC, word for word, over `MANY`."""
    if begin == end:
        return sha256(b"").digest()
    if end - begin == 1:
        return MANY[begin]
    k = 1
    while k * 2 < end - begin:
        k *= 2
    return sha256(b"\x01" + reference(begin, begin + k) + reference(begin + k, end)).digest()


# --- published vectors -----------------------------------------------------------------------------------------------


def test_leaf_hash_matches_published_vectors() -> None:
    """RFC 6962, 2.1."""
    assert [each.hex() for each in HASHES] == VECTORS["leaf_hashes"]


@table("size", range(len(VECTORS["roots"])))
def test_root_matches_published_vectors(size: int) -> None:
    """RFC 6962, 2.1: for each number of leaves, the empty tree included."""
    assert tree_of(HASHES[:size]).root().hex() == VECTORS["roots"][size]


@table("vector", VECTORS["inclusion"], ids=lambda each: f"{each['index']}-of-{each['size']}")
def test_inclusion_proof_matches_published_vectors(vector: dict[str, Any]) -> None:
    """RFC 6962, 2.1.1."""
    index, size = vector["index"], vector["size"]
    proof = inclusion_proof(index, size, Subtrees(HASHES))
    assert [each.hex() for each in proof] == vector["proof"]
    assert verify_inclusion(HASHES[index], index, size, proof, bytes.fromhex(VECTORS["roots"][size]))


# --- the tree --------------------------------------------------------------------------------------------------------


@table("size", [*range(70), 127, 128, 129, 255, 256, 257, 300])
def test_root_matches_rfc_recursion(size: int) -> None:
    assert tree_of(MANY[:size]).root() == reference(0, size)


@given(st.lists(st.integers(0, 40), max_size=12))
def test_tree_grown_in_any_portions_is_equal(portions: list[int]) -> None:
    """One by one, all at once, and continued from a state."""
    grown, begin = Tree(), 0
    for portion in portions:
        grown = Tree(grown.size, grown.state)
        grown.extend(MANY[begin : begin + portion])
        begin = min(begin + portion, len(MANY))
    single = Tree()
    for leaf in MANY[:begin]:
        single.extend([leaf])
    assert grown.size == single.size == begin
    assert grown.state == single.state
    assert grown.root() == single.root() == reference(0, begin)


def test_tree_copy_is_independent() -> None:
    tree = tree_of(MANY[:5])
    other = tree.copy()
    other.extend(MANY[5:6])
    assert (tree.size, tree.root()) == (5, reference(0, 5))
    assert (other.size, other.root()) == (6, reference(0, 6))


def test_empty_tree_has_empty_root() -> None:
    assert Tree().root() == reference(0, 0)


@table(("size", "state"), [(1, []), (0, [MANY[0]]), (3, [MANY[0]]), (1, [b"short"]), (-1, [MANY[0]])])
def test_tree_with_malformed_state_raises(size: int, state: list[bytes]) -> None:
    """A state has a hash for each bit of the size."""
    with pytest.raises(ValueError, match="hashes as the state"):
        Tree(size, state)


# --- ranges and proofs -----------------------------------------------------------------------------------------------


@given(SIZES, st.data())
def test_proof_from_later_leaves_and_state_is_equal(size: int, data: st.DataObject) -> None:
    """Proofs about later leaves are equal, whether all leaves or only the later ones are available."""
    first = data.draw(st.integers(0, size - 1))
    index = data.draw(st.integers(first, size - 1))
    later = Subtrees(MANY[first:size], first, tree_of(MANY[:first]).state)
    proof = inclusion_proof(index, size, later)
    assert proof == inclusion_proof(index, size, reference)
    assert verify_inclusion(MANY[index], index, size, proof, reference(0, size))


def test_subtrees_outside_available_leaves_raises() -> None:
    """A range before or after the available leaves raises."""
    known = Subtrees(MANY[5:9], 5, tree_of(MANY[:5]).state)
    assert known(0, 4) == reference(0, 4)
    for begin, end in ((0, 1), (2, 4), (6, 10), (7, 7)):
        with pytest.raises(ValueError, match="not available"):
            known(begin, end)


@given(SIZES, st.data())
def test_inclusion_proof_changed_is_invalid(size: int, data: st.DataObject) -> None:
    """An inclusion proof is valid for one leaf, at one index, in one tree."""
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, reference), reference(0, size)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(MANY[index], index, size, proof, leaf_hash(b"other"))
    assert not verify_inclusion(MANY[index], index, size, [*proof, root], root)
    for other in (data.draw(st.integers(0, size - 1)), size, -1):
        assert other == index or not verify_inclusion(MANY[index], other, size, proof, root)
    if proof:
        place, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
        wrong = (int.from_bytes(proof[place]) ^ 1 << bit).to_bytes(32)
        assert not verify_inclusion(MANY[index], index, size, [*proof[:place], wrong, *proof[place + 1 :]], root)
        assert not verify_inclusion(MANY[index], index, size, proof[:-1], root)


@table(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_inclusion_proof_of_index_outside_tree_raises(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(index, size, reference)
