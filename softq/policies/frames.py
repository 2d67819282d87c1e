"""Pictures side by side with labels, and the GIF or mp4 file that is made of them."""

import contextlib
import importlib.util
import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from softq.utils.atomic_files import atomic_write, out_file
from softq.utils.errors import SoftqError

FASTEST_GIF = 50  # frames a second: browsers show a frame of a GIF for two hundredths of a second at least
PAPER, INK = (255, 255, 255), (32, 36, 40)


def labelled(picture: np.ndarray, lines: Sequence[str], width: int) -> Image.Image:
    """`picture` `(h, w, 3)`, uint8, at `width` pixels, below a band with `lines` of text."""
    image = Image.fromarray(picture)
    image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    size = max(10, width // 20)
    band = round(1.4 * size)
    panel = Image.new("RGB", (width, band * len(lines) + size // 2 + image.height), PAPER)
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(size)
    for i, line in enumerate(lines):
        draw.text((size // 2, size // 4 + band * i), line, INK, font)
    panel.paste(image, (0, panel.height - image.height))
    return panel


def side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    """Panels in one row, a narrow gap between them, in a picture whose sides are even, as films need them."""
    gap = panels[0].width // 40
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1)
    height = max(panel.height for panel in panels)
    row = Image.new("RGB", (width + width % 2, height + height % 2), PAPER)
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width + gap
    return row


def film_file(out: Path | str) -> Path:
    """The path of a film, to be called before the frames are made.

    Raises `SoftqError` when the name does not end in .gif or .mp4, for an mp4 without the package that writes it, and
    when no file can be written there.
    """
    path = out_file(out, ".gif", ".mp4")
    if path.suffix == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise SoftqError(
            f'{path} needs a package that is not installed; pip install "softq[video]", or name a .gif file.'
        )
    return path


def write_film(path: Path, frames: Iterator[Image.Image], fps: float) -> int:
    """Write `frames`, all of one size, to `path`, as a whole or not at all, and return their number.

    Raises `SoftqError` when the file cannot be written.
    """
    count = itertools.count()
    counted = (frame for frame, _ in zip(frames, count, strict=False))
    first = next(counted)
    with atomic_write(path) as partial:
        write = write_gif if path.suffix == ".gif" else write_mp4
        write(partial, first, counted, fps)
    return next(count)


def write_gif(path: Path, first: Image.Image, rest: Iterator[Image.Image], fps: float) -> None:
    """Write a GIF that plays again and again; its frames last whole hundredths of a second."""
    # without the dots by which Pillow's usual palettes mix colours, which make larger files
    coloured = (frame.quantize(method=Image.Quantize.FASTOCTREE) for frame in itertools.chain([first], rest))
    settings = {"save_all": True, "append_images": coloured, "duration": round(1000 / fps), "loop": 0}
    next(coloured).save(path, "GIF", **settings)


def write_mp4(path: Path, first: Image.Image, rest: Iterator[Image.Image], fps: float) -> None:
    """Write a film in H.264, which every browser plays; needs the extra `video`."""
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(
        str(path),
        first.size,
        fps=fps,
        macro_block_size=2,
        output_params=["-f", "mp4", "-movflags", "faststart"],
    )
    with contextlib.closing(writer):
        with warnings.catch_warnings():  # JAX warns of a fork; here the child becomes ffmpeg at once
            warnings.simplefilter("ignore", RuntimeWarning)
            writer.send(None)  # starts it
        for frame in itertools.chain([first], rest):
            writer.send(frame.tobytes())
