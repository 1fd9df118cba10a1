"""Pictures that look alike: found exactly, within the tenant, and only what still stands in a manifest."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.facts import ArtifactRef
from orpheus.store import likenesses

GraphOf = Callable[..., dict[str, Any]]


def ref(metadata: dict[str, Any], name: str = "thumbnails/1280.webp") -> ArtifactRef:
    return ArtifactRef(
        name=name, key=f".runs/r/{name}", sha256="0", size_bytes=3, content_type="image/webp", metadata=metadata
    )


@pytest.fixture
def saves(hand: Any, one_task_graph: GraphOf) -> Callable[..., None]:
    """`saves("job", "0011…", tenant="ada")`: a job whose task saved a picture of this hash."""
    graph = hand.publish(one_task_graph())

    def save(job_id: str, *phashes: Any, tenant: str = "ada") -> None:
        hand.submit(job_id, graph, tenant=tenant)
        refs = tuple(ref({"phash": phash}, f"{number}.webp") for number, phash in enumerate(phashes))
        hand.complete(job_id, hand.claim(job_id), artifacts=refs)

    return save


def near(hand: Any, job_id: str, distance: int = 6, limit: int = 100) -> list[tuple[str, int]]:
    hand.tx.flush()
    found = likenesses.find(hand.store.connection, job_id, distance=distance, limit=limit)
    return [(one.job_id, one.distance) for one in found]


def test_the_nearest_first_then_the_newest(hand: Any, saves: Callable[..., None]) -> None:
    saves("asks", "00ff00ff00ff00ff")
    saves("equal", "00ff00ff00ff00ff")
    saves("near", "00ff00ff00ff00fe")
    saves("newer", "00ff00ff00ff00ff")
    saves("far", "ff00ff00ff00ff00")
    assert near(hand, "asks") == [("newer", 0), ("equal", 0), ("near", 1)]
    assert near(hand, "asks", distance=0) == [("newer", 0), ("equal", 0)]
    assert near(hand, "asks", limit=1) == [("newer", 0)]
    assert near(hand, "far") == []


@pytest.mark.parametrize("distance", [0, 3, 4, 6, 7, 8, likenesses.FARTHEST])
def test_nothing_within_the_distance_is_missed(hand: Any, saves: Callable[..., None], distance: int) -> None:
    """Flip up to twelve bits at any places, the sign's among them: what is found is what counting all finds."""
    chance = random.Random(distance)
    asked = 0x8000_0000_0000_0001 ^ chance.getrandbits(64)
    saves("asks", f"{asked:016x}")
    expected = set()
    for number in range(150):
        flips = chance.sample(range(64), number % 13)
        saves(f"job-{number}", f"{asked ^ sum(1 << place for place in flips):016x}")
        if len(flips) <= distance:
            expected.add((f"job-{number}", len(flips)))
    assert set(near(hand, "asks", distance, 500)) == expected


def test_another_tenants_pictures_are_not_there(hand: Any, saves: Callable[..., None]) -> None:
    saves("asks", "0123456789abcdef")
    saves("theirs", "0123456789abcdef", tenant="bob")
    assert near(hand, "asks") == []
    assert near(hand, "theirs") == []


def test_a_job_of_several_pictures_asks_for_each_and_never_finds_itself(hand: Any, saves: Callable[..., None]) -> None:
    saves("asks", "0000000000000000", "ffffffffffffffff", "0000000000000001")
    saves("first", "0000000000000003")
    saves("second", "fffffffffffffff0")
    hand.tx.flush()
    found = likenesses.find(hand.store.connection, "asks", distance=4, limit=10)
    assert [(one.job_id, one.of, one.distance) for one in found] == [("first", "2.webp", 1), ("second", "1.webp", 4)]


@pytest.mark.parametrize("phash", [None, 7, "", "0123", "0123456789ABCDEF", "0123456789abcdeg", ["0123456789abcdef"]])
def test_what_is_no_hash_is_left_alone(hand: Any, saves: Callable[..., None], phash: Any) -> None:
    saves("asks", phash)
    assert hand.sql("SELECT count(*) FROM likenesses") == [(0,)]
    assert near(hand, "asks") == []
    assert near(hand, "nobody") == []


def test_a_file_that_left_the_manifest_is_not_found(hand: Any, saves: Callable[..., None]) -> None:
    """A rewound task's picture is gone until the new generation saves it again (R20)."""
    saves("asks", "0123456789abcdef")
    saves("other", "0123456789abcdef")
    hand.tell("other", f.ArtifactsPublished(names=("0.webp",)))
    hand.tell("other", f.Finalised(outcome="completed", generation=1))
    hand.tell("other", f.RetryRequested(from_task="count"))
    assert near(hand, "asks") == []
    hand.complete("other", hand.claim("other"), artifacts=(ref({"phash": "0123456789abcdee"}, "0.webp"),))
    assert near(hand, "asks") == [("other", 1)]
