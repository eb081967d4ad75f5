"""What is remembered belongs to one object, not to equal ones, and a bounded number is kept."""

from __future__ import annotations

from odespec.prove.memo import MOST, remembered


def test_the_same_object_is_asked_once_and_an_equal_one_again() -> None:
    calls: list[tuple[int, ...]] = []

    @remembered
    def size(numbers: list[int], more: int) -> int:
        calls.append((*numbers, more))
        return len(numbers) + more

    first, second = [1, 2], [1, 2]
    assert [size(first, 1), size(first, 1), size(second, 1), size(first, 2)] == [3, 3, 3, 4]
    assert len(calls) == 3
    for _ in range(MOST):
        size([0], 0)
    size(first, 1)
    assert len(calls) == 3 + MOST + 1


def test_an_exception_is_not_kept() -> None:
    tries: list[int] = []

    @remembered
    def fails(what: list[int]) -> int:
        tries.append(1)
        raise ValueError

    what = [1]
    for _ in range(2):
        try:
            fails(what)
        except ValueError:
            continue
    assert len(tries) == 2
