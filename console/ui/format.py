"""How numbers, sizes and times are written. Pure; the clock is always an argument."""

from __future__ import annotations

from datetime import UTC, datetime

from console.ui.messages import language, tr, tr_count

UNKNOWN = "–"

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(n_bytes: int) -> str:
    """`310 MiB`, `1.2 GiB`; a dash when it is not known (negative)."""
    if n_bytes < 0:
        return UNKNOWN
    value, unit = float(n_bytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 1 if unit and value < 99.95 and unit >= 3 else 0
    if 1 <= unit < 3 and value < 9.95:
        digits = 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def size_of(done: int, total: int) -> str:
    """`110 of 610 MiB`, the unit once when both share it."""
    whole, part = size(total), size(done)
    number, _, unit = part.partition(" ")
    if whole.endswith(" " + unit):
        part = number
    return tr("{done} of {total}", done=part, total=whole)


def rate(bytes_per_s: float) -> str:
    """`84 MiB/s`; empty when it is not known."""
    return f"{size(round(bytes_per_s))}/s" if bytes_per_s >= 1 else ""


def percent(share: float) -> str:
    """`62 %`; rounded down, so that 100 % means done."""
    whole = int(max(0.0, min(1.0, share)) * 100 + 1e-9)
    return f"{whole}%" if language() == "zh_CN" else f"{whole} %"


def when(text: str) -> datetime | None:
    """An RFC 3339 time as the API server writes it; None when it is empty or broken."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """`14 s`, `3 min`, `15 h`, `2 d 4 h`: one unit, two from a day on."""
    whole = max(0, int(seconds))
    if whole < 60:
        return tr("{n} s", n=whole)
    if whole < 3600:
        return tr("{n} min", n=whole // 60)
    if whole < 86400:
        return tr("{n} h", n=whole // 3600)
    days, hours = whole // 86400, whole % 86400 // 3600
    if days >= 7 or not hours:
        return tr("{n} d", n=days)
    return tr("{d} d {h} h", d=days, h=hours)


def clock(seconds: float) -> str:
    """`0:41`, `12:05`, `1:02:30`: how long a step took."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def age(text: str, now: datetime) -> str:
    """`12 min ago`, `just now`, `never`."""
    moment = when(text)
    if moment is None:
        return tr("never")
    seconds = (now - moment).total_seconds()
    if seconds < 5:
        return tr("just now")
    return tr("{time} ago", time=duration(seconds))


def exact(text: str) -> str:
    """The local date and time to the second, for tooltips."""
    moment = when(text)
    if moment is None:
        return ""
    local = moment.astimezone()
    if language() == "zh_CN":
        return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M:%S}"
    return f"{local.day} {local:%b %Y %H:%M:%S}"


def moment(text: str, now: datetime) -> str:
    """`today 13:30`, `yesterday 22:30`, `21 Nov 22:30`: a point in time in a list."""
    at = when(text)
    if at is None:
        return UNKNOWN
    local, today = at.astimezone(), now.astimezone().date()
    days = (today - local.date()).days
    if days == 0:
        return tr("today {time}", time=f"{local:%H:%M}")
    if days == 1:
        return tr("yesterday {time}", time=f"{local:%H:%M}")
    date = f"{local.month}月{local.day}日" if language() == "zh_CN" else f"{local.day} {local:%b}"
    if local.year != today.year:
        date = f"{local:%Y-%m-%d}"
    return f"{date} {local:%H:%M}"


def time_of_day(text: str) -> str:
    """`13:42:07`, local; a dash when not known."""
    at = when(text)
    return f"{at.astimezone():%H:%M:%S}" if at else UNKNOWN


def points(n: int) -> str:
    """`1 restore point`, `31 restore points`."""
    return tr_count("{n} restore point", "{n} restore points", n)


def objects(n: int) -> str:
    """`24 objects`, or a dash when not known."""
    return tr_count("{n} object", "{n} objects", n) if n >= 0 else UNKNOWN


def volumes(n: int) -> str:
    """`2 volumes`."""
    return tr_count("{n} volume", "{n} volumes", n)


def visible(text: str) -> str:
    """What a cluster says, on one line, control and direction-changing characters visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
