"""How figures are shown. A figure's name ends with its unit; what comes before tells it from others of that unit."""

import statistics

# The end of a figure's name: its unit as it is printed, and what a ratio of two such figures is called.
_UNITS = {
    "cpu_seconds": ("CPU-s", "CPU"),
    "anon_mib": ("MiB anonymous", "memory"),
    "seconds": ("s", "time"),
    "ms": ("ms", "time"),
    "mbit": ("Mbit/s", "goodput"),
    "rate": ("/s", "rate"),
    "bytes": ("bytes", None),
    "link_share": ("of the link", None),
    "bound_ratio": ("x the bound", None),
    "round_trips": ("round trips", None),
}


def _split(name):
    """What the figure `name` is of ("" if it needs no words), its unit, and the name of a ratio."""
    end = next(end for end in _UNITS if name == end or name.endswith("_" + end))
    return name[: -len(end)].replace("_", " ").strip(), *_UNITS[end]


def show(result):
    words = []
    for name, value in result.items():
        of, unit, _ = _split(name)
        words.append(f"{value:8.3f} {unit}" + (f" ({of})" if of else ""))
    return "  ".join(words)


def medians(rounds):
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


def _ratios(ours, theirs):
    for name, value in ours.items():
        of, _, ratio = _split(name)
        if ratio and theirs.get(name):
            yield f"{of} {ratio} {value / theirs[name]:.2f}".strip()


def print_summary(summary, bytes_total):
    """Medians by peer, ours first; `bytes_total` is what is moved in `seconds`, 0 if nothing is."""
    print("\nmedians")
    width = max(map(len, summary))
    for peer, result in summary.items():
        rate = f"  {bytes_total / result['seconds'] / 1e6:6.0f} MB/s" if bytes_total else ""
        print(f"  {peer:{width}} {show(result)}{rate}")
    (ours_name, ours), *others = summary.items()
    for peer, theirs in others:
        print(f"{ours_name} / {peer}: {', '.join(_ratios(ours, theirs))}")
