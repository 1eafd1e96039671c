"""The detail tables: branches, pool sizes, worth in real photos, settings, cost, the paper's numbers."""

from collections.abc import Iterable, Sequence

from normalgen.evaluation.cells import FAILING, Frame, arm_rank, optional, plain, sized
from normalgen.evaluation.paper_numbers import MARK, NOTES, PUBLISHED, REMARKS, published_name
from normalgen.evaluation.statistics import AUROC, Gain, gain, means, worth
from normalgen.evaluation.table_format import Head, Table, build, mean_notes, mean_numbers, percent, tuning_note

__all__ = ["branches", "costs", "published_too", "settings_studies", "sizes", "worth_in_photos"]

BRANCHES = ("p", "n", "text", "fused")
WORTHLESS = ("none", "real", *FAILING)
FEWEST_SIZES = 3
STAGES = ("customize", "pool", "fit", "predict")
ROW = ["method", "role", "dataset", "k", "arm_rank", "arm"]
OWN = ["detector", "role", "dataset", "k"]
LABELS = ["detector", "data set", "k"]
EACH_BRANCH = (
    "Image AUROC in percent. p: against the query's normal twin. n: against the bank. text: against sentences."
)
SAME = "Image AUROC in percent; inside a row over the categories and seeds that all its settings were measured with."
SIZES = "Image AUROC in percent by the images that join the references; 0: none."
WORTH = (
    "How many more real normal photos give the same mean image AUROC, by linear interpolation of the closest curve "
    "that never falls, over the same categories and seeds. Where it is flat, small gains look like many photos. It "
    "cannot be told where fewer than two numbers of photos were measured, or where the gain over none has no "
    "interval or one that holds 0."
)
COSTS = (
    "Means over cells; customize and pool are made once for all cells that share references. What an earlier arm "
    "of the same references computed (twins, patches, distances) is not computed again, so later arms take less. "
    "Memory: the most that a process held, the arms before it in the same process included."
)


def branches(cells: Frame) -> list[Table]:
    """The table of each branch's own AUROC; empty without branches."""
    names = [name.removeprefix("branches.") for name in cells if name.startswith("branches.")]
    names.sort(key=lambda name: (BRANCHES.index(name) if name in BRANCHES else len(BRANCHES), name))
    long = plain(cells).rename(columns={f"branches.{name}": name for name in names})
    long = long.melt([*ROW, "seed", "category"], names, "column", "value")
    return _compared("branches", "By branch", long, names, EACH_BRANCH)


def settings_studies(cells: Frame) -> list[Table]:
    """Tables that compare settings in brackets: one per detector and set of setting names.

    All columns of a row are means over the categories and seeds that all its settings were measured with.
    """
    cells = cells.assign(names=cells.setting.map(_names), column=cells.setting.where(cells.setting != "", "default"))
    tables = []
    for method, names in sorted({*cells[["method", "names"]][cells.setting != ""].itertuples(index=False, name=None)}):
        own = cells[(cells.method == method) & ((cells.names == names) | (cells.setting == ""))]
        own = own[(own.setting != "").groupby([own[name] for name in ROW]).transform("any")]
        measured = own.groupby([*ROW, "category", "seed"]).setting.transform("nunique")
        own = own[measured == own.groupby(ROW).setting.transform("nunique")].assign(value=own[AUROC])
        columns = sorted(set(own.column), key=_setting_rank)
        tables += _compared("settings", f"{method}: {names.replace(',', ', ')}", own, columns, SAME)
    return tables


def sizes(cells: Frame) -> list[Table]:
    """The table of image AUROC by number of images that join the references; empty without arms of several sizes."""
    studied = sized(plain(cells))
    kinds = sorted(set(studied.arm_kind), key=arm_rank)
    none = plain(cells)[lambda rows: rows.arm == "none"].merge(studied[OWN].drop_duplicates())
    bases = [none.assign(arm_kind=kind) for kind in kinds]
    compared = optional("pandas").concat([studied, *bases])
    result = means(compared, by=[*OWN, "arm_size", "arm_kind", "arm"])
    numbers = mean_numbers(result, [*OWN, "arm_size"]).assign(images=result.arm_size, head=_heads(result.arm_kind))
    notes = [SIZES, *mean_notes(result)]
    return build("sizes", "By number of images", numbers, [*LABELS, "images"], _heads(kinds), notes)


def worth_in_photos(cells: Frame) -> list[Table]:
    """The table of how many more real photos give the same AUROC as an arm; empty if no arm can be compared.

    An arm and the curve it is compared with share categories and seeds.
    """
    rows = []
    for which, own in plain(cells).dropna(subset=[AUROC]).groupby(OWN):
        real = own.arm_kind.isin(["real", "none"])
        photos = own.groupby("arm")["counts.extra"].transform("mean").round().astype(int).where(real, -1)
        for arm in sorted(set(own.arm[~own.arm_kind.isin(WORTHLESS)]), key=arm_rank):
            compared = own.assign(photos=photos)[real | (own.arm == arm)]
            distinct = compared.photos.nunique()
            shared = compared.groupby(["category", "seed"]).photos.transform("nunique") == distinct
            if 0 in set(compared.photos) and distinct > 2 and shared.any():
                rows.append({**dict(zip(OWN, which, strict=True)), "arm": arm, **_worth(compared[shared], arm)})
    if not rows:
        return []
    numbers = optional("pandas").DataFrame(rows).assign(row=range(len(rows)), metric="real_photos")
    notes, after = [WORTH, *tuning_note(numbers)], ["AUROC", "real photos", "AUROC by real photos added"]
    return build("worth", "Worth in real photos", numbers, [*LABELS, "arm"], [], notes, after)


def _worth(cells: Frame, arm: str) -> dict[str, object]:
    """The numbers and texts of a row, from the cells of an arm (-1 photos) and of the curve it is compared with."""
    mean, *points = means(cells, by=["photos"], whole=["photos"]).itertuples()
    curve = {point.photos: point.value for point in points}
    photos, words = worth(curve, mean.value)
    if len(curve) < FEWEST_SIZES:
        photos, words = None, f"cannot tell: only 0 and {max(curve)} measured"
    elif not _is_shown(gain(cells, arm, "none")):
        photos, words = None, "cannot tell: no gain is shown"
    line = ", ".join(f"{size}: {100 * value:.1f}" for size, value in curve.items())
    texts = {"AUROC": percent(mean), "real photos": words, "AUROC by real photos added": line}
    return {**texts, "value": photos, "remark": words if photos is None else ""}


def _is_shown(result: Gain | None) -> bool:
    """Whether the gain has an interval that excludes 0."""
    return bool(result and result.low is not None and result.high is not None and not result.low <= 0 <= result.high)


def costs(cells: Frame) -> list[Table]:
    """The table of seconds and memory by detector, data set and arm; empty if no cell has any."""
    stages = [name.removeprefix("seconds.") for name in cells if name.startswith("seconds.")]
    stages = [*(stage for stage in STAGES if stage in stages), *sorted(set(stages) - set(STAGES))]
    timed = cells.rename(columns={f"seconds.{stage}": f"seconds_{stage}" for stage in stages})
    photos = timed["counts.normal"] + timed["counts.anomalous"]
    timed["ms_a_photo"] = 1000 * timed.get("seconds_predict", float("nan")) / photos.where(photos > 0)
    heads = {f"seconds_{stage}": f"{stage}, s" for stage in stages}
    heads |= {"ms_a_photo": "ms a photo", "memory_mb": "memory, MB"}
    timed = timed.dropna(subset=list(heads), how="all")
    groups = timed.groupby(["detector", "dataset", "arm_rank", "arm"])
    result = groups[list(heads)].mean().assign(memory_mb=groups.memory_mb.max(), count=groups.size()).reset_index()
    result = result.assign(row=range(len(result)), role="", k=float("nan"))
    numbers = result.melt(["row", "role", "k", "detector", "dataset", "arm", "count"], list(heads), "metric")
    texts = ["-" if v != v else f"{v:.1f}" if v < 100 else f"{v:.0f}" for v in numbers.value]
    numbers = numbers.assign(text=texts, head=_heads(numbers.metric.map(heads)))
    labels = ["detector", "data set", "arm", "cells"]
    return build("costs", "Seconds and memory", numbers, labels, _heads(heads.values()), [COSTS], plain=1)


def published_too(cells: Frame) -> list[Table]:
    """The table of the paper's numbers on the data sets of `cells`; empty if it has none."""
    rows: list[tuple[str, ...]] = []
    for dataset in sorted(set(cells.dataset)):
        name = published_name(dataset)
        for row in (row for row in PUBLISHED if row.dataset == name):
            spread = "" if row.spread is None else f" ± {row.spread:.1f}"
            values = (f"{row.auroc:.1f}{spread}", f"{row.auprc:.1f}")
            rows.append((dataset, str(row.k), row.method, *values, row.source, row.backbone, row.note or MARK))
        rows += [(dataset, *"----", source, "-", text) for where, source, text in REMARKS if where == name]
    heads = ("data set", "k", "method", "AUROC", "AUPRC", "source", "backbone", "note")
    title = f"One-to-Normal's paper: {MARK}"
    return [Table("published", title, tuple(_heads(heads)), tuple(rows), 3, NOTES)] if rows else []


def _compared(name: str, title: str, long: Frame, columns: Sequence[str], note: str) -> list[Table]:
    """A table of means of "value" by "column", with rows of method, data set, k and arm, which all settings share."""
    result = means(long, "value", [*ROW, "column"], ROW).rename(columns={"method": "detector"})
    metric = f"{AUROC} {'branch' if name == 'branches' else 'setting'} "
    numbers = mean_numbers(result, ["detector", *ROW[1:]], metric).assign(head=_heads(result.column))
    numbers["metric"] += numbers.column
    return build(name, title, numbers, [*LABELS, "arm"], _heads(columns), [note, *mean_notes(result)])


def _heads(names: Iterable[str]) -> list[Head]:
    return [("", name) for name in names]


def _names(setting: str) -> str:
    """The setting names, such as "twins.strength,grid" for "twins.strength=0.2,grid=3"."""
    return ",".join(part.split("=")[0] for part in setting.split(",") if "=" in part)


def _setting_rank(setting: str) -> tuple[object, ...]:
    """A sort key: the default first, then by number, then by text."""
    value = setting.rpartition("=")[2]
    number = float(value) if value.replace(".", "", 1).isdigit() else float("inf")
    return setting != "default", number, setting
