"""Judges photos, one batch at a time; maps wait in a temporary file until they are drawn."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from normalgen.data.category import TestImage
from normalgen.data.queries import Queries
from normalgen.detectors.base import JudgingDetector
from normalgen.errors import DataError
from normalgen.images.images import Photo, to_pil
from normalgen.io.outputs import Outputs
from normalgen.io.progress import Watch
from normalgen.report.detection_measures import Marked
from normalgen.report.detection_page import Pictures
from normalgen.report.pictures import overlay
from normalgen.report.spool import Span, Spool

__all__ = ["DetectionFiles", "Judged", "Waiting", "judge"]

SAMPLED = 1024
"""Values per map, at most, that decide the range of the colours."""


@dataclass(frozen=True)
class Waiting:
    """A photo and its map in the spool.

    Attributes:
        picture: span of the photo, reduced to the size of its drawn map.
        values: span of the map.
        shape: of the map (H, W).
        size: width and height of the photo, cropped.
    """

    picture: Span
    values: Span
    shape: tuple[int, int]
    size: tuple[int, int]


@dataclass
class Judged:
    """The judged photos, in order, and one message per unreadable photo.

    Attributes:
        names: names of the photos.
        labels: None if unknown or ignored.
        waiting: photos and maps in the spool.
        scores: (N,) per branch, and "fused", batch by batch.
        values: up to 1024 values of each map, evenly spread over it.
        errors: messages by name.
        references: how many photos are references; their labels are ignored.
    """

    names: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    scores: list[dict[str, Tensor]] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    references: int = 0

    def labelled(self) -> list[Waiting]:
        """Return the photos whose labels count."""
        return [waiting for waiting, label in zip(self.waiting, self.labels, strict=True) if label is not None]

    def marked(self, queries: Queries) -> list[Marked]:
        """Return the photos whose labels count, with their masks."""
        items = {item.name: item for item in queries.images.items}
        return [
            Marked(TestImage(items[name], label, queries.masks.get(name)), waiting.size, queries.images.crop)
            for name, label, waiting in zip(self.names, self.labels, self.waiting, strict=True)
            if label is not None
        ]

    def joined(self) -> dict[str, Tensor]:
        """Return the scores (N,) per branch, and "fused"."""
        return {name: torch.cat([scores[name] for scores in self.scores]) for name in self.scores[0]}


@dataclass(frozen=True)
class DetectionFiles:
    """Writes the files of a run.

    Attributes:
        outputs: the folder of results.
        names: file name for each photo's name.
        spool: stores photos until maps are drawn on them.
        pictures: pictures for the page.
        save_maps: whether to write raw maps.
    """

    outputs: Outputs
    names: dict[str, str]
    spool: Spool
    pictures: Pictures
    save_maps: bool

    def take(self, photo: Photo, twin: Tensor | None, values: Tensor) -> Waiting:
        """Write a photo's twin, and its raw map if asked; return where the spool keeps the photo and its map."""
        if photo.picture is None:
            raise ValueError(f"the photo {photo.name} has no picture; read it with a side")
        name, drawn = self.names[photo.name], None if twin is None else to_pil(twin)
        if drawn is not None:
            self.outputs.png(f"twins/{name}.png", drawn)
        if self.save_maps:
            self.outputs.array(f"maps/{name}.npy", values.float().cpu().numpy())
        self.pictures.add_query(photo.name, photo.picture, drawn)
        rows, columns = values.shape
        picture, spooled = self.spool.put_picture(photo.picture), self.spool.put_map(values.half().cpu().numpy())
        return Waiting(picture, spooled, (rows, columns), (photo.width, photo.height))

    def map(self, waiting: Waiting) -> Tensor:
        """Return a map (H, W) from the spool."""
        return torch.from_numpy(self.spool.get_map(waiting.values, waiting.shape))

    def draw(self, name: str, waiting: Waiting, scale: tuple[float, float]) -> None:
        """Draw the map over the photo, both from the spool, and write it."""
        drawn = overlay(self.spool.get_picture(waiting.picture), self.map(waiting), *scale)
        self.outputs.png(f"maps/{self.names[name]}.png", drawn)
        self.pictures.add_map(name, drawn)


def judge(detector: JudgingDetector, queries: Queries, files: DetectionFiles, side: int, watch: Watch) -> Judged:
    """Read and judge all photos; writes twins, and raw maps if asked, along the way."""
    judged, done, total = Judged(), 0, len(queries.images)
    labels = dict(zip(queries.images.names, queries.labels, strict=True))
    watch("detect", 0, total)
    size = detector.image_size
    knows = queries.knows(size) if any(label is not None for label in queries.labels) else None
    for photos, unread in queries.batches(size, detector.together, side, whole=detector.whole):
        judged.errors |= unread
        if photos:
            _judge_batch(detector, photos, files, judged)
        for photo in photos:
            label = labels[photo.name]
            passed = photo.digest in queries.known if knows is None or label is None else knows(photo)
            judged.labels.append(None if passed else label)
            judged.references += passed
        done += len(photos) + len(unread)
        watch("detect", done, total)
    if not judged.names:
        raise DataError(f"none of {total} photos can be read: {next(iter(judged.errors.values()))}")
    return judged


def _judge_batch(detector: JudgingDetector, photos: list[Photo], files: DetectionFiles, judged: Judged) -> None:
    batch = detector.explain_photos(photos)
    twins = batch.twins if batch.twins is not None else [None] * len(photos)
    for photo, twin, values in zip(photos, twins, batch.maps, strict=True):
        judged.names.append(photo.name)
        judged.waiting.append(files.take(photo, twin, values))
        flat = values.half().flatten()
        judged.values.append(flat[:: math.ceil(len(flat) / SAMPLED)])
    judged.scores.append(batch.scores)
