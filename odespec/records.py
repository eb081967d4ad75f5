"""`dataclasses.dataclass` for frozen classes with slots, made cheaply.

The standard one compiles six methods for each class when its module is imported; with some hundred and fifty classes that
takes longer than checking a spec. This one has the same meaning, `dataclasses.fields` and `replace` included, but
compiles a class's ``__init__`` only once it has a few instances, and shares the other methods. Type checkers see the standard one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from inspect import get_annotations
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
        """See `dataclasses.dataclass`. A class that is not frozen, or has no slots, is left to the standard one."""

        def make(cls: type) -> type:
            if frozen and slots:
                return _record(cls, eq)
            return dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq)(cls)

        return make if cls is None else make(cls)


def _record(cls: type, eq: bool) -> type:
    own, fields = _fields(cls)
    inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "__slots__", ())}
    members = {k: v for k, v in cls.__dict__.items() if k not in (*own, "__dict__", "__weakref__")}
    compared = tuple(f.name for f in fields.values() if f.compare)
    shown = tuple(f.name for f in fields.values() if f.repr)
    names = tuple(fields)
    made: dict[str, Any] = {
        "__slots__": tuple(name for name in own if name not in inherited),
        "__dataclass_fields__": fields,
        "__match_args__": tuple(f.name for f in fields.values() if f.init),
        "__repr__": _repr(shown),
        "__setattr__": _frozen,
        "__delattr__": _frozen,
        "__getstate__": lambda self: [getattr(self, name) for name in names],
        "__setstate__": _restore,
    }
    if eq:
        made |= {"__eq__": _equal(compared), "__hash__": _hash(compared)}
    defined = {k for k, v in members.items() if not (k == "__hash__" and v is None)}
    new: Any = type(cls)(cls.__name__, cls.__bases__, members | {k: v for k, v in made.items() if k not in defined})
    new.__qualname__ = cls.__qualname__
    if "__init__" not in defined:
        new.__init__ = _first_init(new)
    return new  # type: ignore[no-any-return]


def _fields(cls: type) -> tuple[list[str], dict[str, Any]]:
    """The names that a class declares, and all fields in order, inherited ones first."""
    fields: dict[str, Any] = {}
    for base in cls.__mro__[:0:-1]:
        fields |= base.__dict__.get("__dataclass_fields__", {})
    declared = get_annotations(cls)
    for name, annotation in declared.items():
        default = cls.__dict__.get(name, dataclasses.MISSING)
        f: Any = default if isinstance(default, dataclasses.Field) else dataclasses.field(default=default)
        f.name, f.type = name, annotation
        f.kw_only, f._field_type = False, dataclasses._FIELD  # type: ignore[attr-defined]
        fields[name] = f
    return list(declared), fields


# --- methods -----------------------------------------------------------------------


FEW = 6
"""So many instances are made without compiling: most classes have no more in a run, and compiling one costs as much."""


def _first_init(cls: Any) -> Callable[..., None]:
    left = FEW

    def first(self: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0 and _filled(cls, self, args, kwargs):
            return
        if cls.__init__ is first:
            cls.__init__ = _compiled(cls)
        cls.__init__(self, *args, **kwargs)

    return first


def _filled(cls: Any, self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Set the fields one by one; False, and nothing said, where the call is not a plain one."""
    fields = cls.__dataclass_fields__
    if hasattr(cls, "__post_init__") or len(args) > len(fields) or not kwargs.keys() <= fields.keys():
        return False
    given = dict(zip(fields, args, strict=False))
    if given.keys() & kwargs.keys():
        return False
    given |= kwargs
    for name, f in fields.items():
        if not f.init:
            return False
        if name not in given:
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
                return False
            given[name] = f.default if f.default is not dataclasses.MISSING else f.default_factory()
    for name in fields:
        object.__setattr__(self, name, given[name])
    return True


def _compiled(cls: Any) -> Callable[..., None]:
    """The ``__init__`` that `dataclasses` would write."""
    scope: dict[str, Any] = {"_set": object.__setattr__, "_absent": object()}
    head, body = [], []
    for f in cls.__dataclass_fields__.values():
        given, value = f.name, f.name
        if f.default is not dataclasses.MISSING:
            scope[f"_default_{f.name}"] = f.default
            given = f"{f.name}=_default_{f.name}"
        elif f.default_factory is not dataclasses.MISSING:
            scope[f"_make_{f.name}"] = f.default_factory
            given = f"{f.name}=_absent"
            value = f"_make_{f.name}() if {f.name} is _absent else {f.name}" if f.init else f"_make_{f.name}()"
        if f.init:
            head.append(given)
        elif f.default is not dataclasses.MISSING:
            value = f"_default_{f.name}"
        elif f.default_factory is dataclasses.MISSING:
            continue
        body.append(f" _set(self, {f.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    exec(f"def __init__(self{''.join(f', {g}' for g in head)}):\n" + ("\n".join(body) or " pass"), scope)
    init: Any = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init  # type: ignore[no-any-return]


def _frozen(self: Any, name: str, *_: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change {name!r}")


def _restore(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__dataclass_fields__, state, strict=True):
        object.__setattr__(self, name, value)


def _repr(names: tuple[str, ...]) -> Callable[[Any], str]:
    return lambda self: f"{type(self).__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"


def _equal(names: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    values = _values(names)

    def equal(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return equal


def _hash(names: tuple[str, ...]) -> Callable[[Any], int]:
    values = _values(names)
    return lambda self: hash(values(self))


def _values(names: tuple[str, ...]) -> Callable[[Any], Any]:
    return attrgetter(*names) if names else lambda self: ()
