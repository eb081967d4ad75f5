"""Files to `Source`: whatever lies at the path, the answer is a text or a diagnostic."""

from __future__ import annotations

from pathlib import Path

from odespec.diagnostics import Report
from odespec.source import Source, Span

MAX_BYTES = 2 * 1024 * 1024


def read_source(path: Path, report: Report) -> Source | None:
    """Read a spec; None, with a diagnostic added, where there is no readable text at the path."""
    name = str(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        report.add("ODE001", None, path=name)
    except IsADirectoryError:
        report.add("ODE002", None, path=name)
    except OSError as error:
        report.add("ODE003", None, path=name, reason=error.strerror or "the system refuses")
    except ValueError:
        report.add("ODE003", None, path=ascii(name), reason="this is not a possible path")
    else:
        return read_bytes(name, data, report)
    return None


def read_bytes(name: str, data: bytes, report: Report) -> Source | None:
    """Decode the bytes of a spec; ``name`` is how messages speak of them."""
    if len(data) > MAX_BYTES:
        report.add("ODE006", None, path=name, limit=f"{MAX_BYTES // 1024**2} MiB")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        _undecodable(name, data, error, report)
        return None
    source = Source(name, text)
    if (offset := text.find("\0")) >= 0:
        report.add("ODE005", Span(source, offset, offset + 1), path=name, offset=len(text[:offset].encode()))
        return None
    return source


def _undecodable(name: str, data: bytes, error: UnicodeDecodeError, report: Report) -> None:
    """Point at the first bad byte, in the text as far as it can be shown."""
    suggestion = "save the file as UTF-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        suggestion = "this looks like UTF-16; save the file as UTF-8"
    offset = len(data[: error.start].decode("utf-8"))
    source = Source(name, data.decode("utf-8", errors="replace"))
    report.add(
        "ODE004",
        Span(source, offset, offset + 1),
        suggestion=suggestion,
        path=name,
        byte=f"0x{data[error.start]:02x}",
        offset=error.start,
    )
