"""Pictures for the page: as small as they can be without a visible difference, and inside it."""

import base64
import io

from PIL import Image

COLORS = 256  # a plot has a dozen, and their shades at the edges of lines and in bands
SMALL = 480  # pixels across of a picture on the first screen, which is shown at half of that


def data_uri(png: bytes, width: int | None = None) -> str:
    """Return a picture as a URI: a lossless WebP of the ``COLORS`` that fit best, at most ``width`` pixels across."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if width:
        picture.thumbnail((width, width), Image.Resampling.LANCZOS)
    # not the median cut, which goes by how many pixels have a colour: thin lines would lose their hue
    few = picture.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).convert("RGB")
    content = io.BytesIO()
    few.save(content, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()
