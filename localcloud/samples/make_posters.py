"""Creates the images of the sample bucket: a plain poster for each film, drawn here.

python -m localcloud.samples.make_posters
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from localcloud.samples.films import FILMS
from localcloud.samples.objects import POSTERS

_SIZE = (120, 180)


def write_posters(folder: Path) -> None:
    """Write the posters to ``folder`` as JPEG files."""
    folder.mkdir(exist_ok=True)
    for number, film in enumerate(FILMS):
        image = Image.new("RGB", _SIZE, (60 + 35 * number, 90, 200 - 35 * number))
        draw = ImageDraw.Draw(image)
        draw.rectangle((8, 8, _SIZE[0] - 9, _SIZE[1] - 9), outline=(240, 230, 200), width=2)
        draw.multiline_text((16, 60), "\n".join([*film.title.split(), str(film.year)]), fill=(240, 230, 200))
        image.save(folder / f"{film.slug}.jpg", "JPEG", quality=60)


if __name__ == "__main__":
    write_posters(POSTERS)
