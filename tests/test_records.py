"""`odespec.records.dataclass` does what `dataclasses.dataclass` does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from odespec.records import dataclass as ours

MADE: list[str] = []


def family(decorate: Callable[..., Any]) -> Any:
    """The same classes by either decorator."""

    @decorate(frozen=True, slots=True)
    class Empty:
        """Nothing."""

    @decorate(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 2
        tags: list[int] = field(default_factory=list, compare=False)

        @property
        def sum(self) -> int:
            return self.x + self.y

    @decorate(frozen=True, slots=True)
    class Named(Point):
        name: str = "n"
        hidden: int = field(default=5, repr=False)

    @decorate(frozen=True, slots=True, eq=False)
    class Identity:
        x: int
        double: int = field(init=False, repr=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "double", 2 * self.x)

        def __hash__(self) -> int:
            return 7

    @decorate(frozen=True, slots=True)
    class Own:
        x: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 1

    return Empty, Point, Named, Identity, Own


def test_both_agree() -> None:
    mine, theirs = family(ours), family(dataclasses.dataclass)
    for make in (
        lambda f: repr(f[0]()),
        lambda f: repr(f[1](1)),
        lambda f: repr(f[2](1, 3, [4], hidden=6)),
        lambda f: repr(f[3](3)),
        lambda f: repr(f[4](3)),
        lambda f: f[1](1, y=4).sum,
        lambda f: f[2](1).tags,
        lambda f: f[3](4).double,
        lambda f: f[1](1) == f[1](1, 2, [9]),
        lambda f: f[1](1) == f[1](2),
        lambda f: f[1](1) == f[2](1),
        lambda f: f[2](1) == f[2](1, name="m"),
        lambda f: f[0]() == f[0](),
        lambda f: f[3](1) == f[3](1),
        lambda f: f[4](1) == f[4](2),
        lambda f: hash(f[1](1)) == hash(f[1](1, 2, [3])),
        lambda f: (hash(f[3](1)), hash(f[4](1))),
        lambda f: len({f[1](1), f[1](1), f[1](2)}),
        lambda f: [(g.name, g.init, g.repr, g.compare) for g in dataclasses.fields(f[2])],
        lambda f: dataclasses.asdict(f[2](1, 2, [3])),
        lambda f: repr(dataclasses.replace(f[2](1), x=8, name="z")),
        lambda f: dataclasses.is_dataclass(f[1]),
        lambda f: [c.__slots__ for c in f],
        lambda f: [c.__match_args__ for c in f],
        lambda f: [(c.__qualname__, c.__module__, c.__doc__) for c in f[:1]],
        lambda f: repr(copy.deepcopy(f[2](1, tags=[1]))),
        lambda f: hasattr(f[1](1), "__dict__"),
    ):
        assert make(mine) == make(theirs)


@pytest.mark.parametrize("decorate", [ours, dataclasses.dataclass])
def test_both_refuse(decorate: Any) -> None:
    _, point, _, identity, _ = family(decorate)
    for wrong in ((), (1, 2, [], 4)):
        with pytest.raises(TypeError):
            point(*wrong)
    with pytest.raises(TypeError):
        point(1, z=3)
    with pytest.raises(TypeError):
        identity(1, double=3)
    one = point(1)
    for change in (lambda: setattr(one, "x", 2), lambda: delattr(one, "x")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        one.other = 1
    assert one.x == 1


@ours(frozen=True, slots=True)
class Kept:
    """At the top level, where pickle finds it."""

    x: int
    y: tuple[int, ...] = ()


def test_pickle_and_matching() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, (2,)))) == Kept(1, (2,))
    match Kept(1, (2,)):
        case Kept(x, (y,)):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("does not match")


def test_defaults_are_made_anew() -> None:
    _, point, *_ = family(ours)
    assert point(1).tags is not point(1).tags


def test_others_are_left_to_the_standard_one() -> None:
    @ours(slots=True)
    class Changing:
        x: int = 1

    value = Changing()
    value.x = 2
    assert value.x == 2
    assert Changing.__hash__ is None


def test_a_message_names_the_class() -> None:
    with pytest.raises(TypeError, match=r"Kept\.__init__\(\) missing 1 required positional argument: 'x'"):
        Kept()  # type: ignore[call-arg]
