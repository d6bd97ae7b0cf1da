"""A new kind of file needs one entry in ``KINDS``."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from unetv2.data.io import open as opening
from unetv2.data.io.base import FileKind, Header, ImageFile
from unetv2.data.io.pillow import FORMATS, PILLOW
from unetv2.data.io.tiff import TIFF
from unetv2.data.labels import Labels

SIGNATURE = b"RAW1"


class RawFile(ImageFile):
    """Height and width in a byte each, then a gray value for each pixel."""

    def __init__(self, path):
        self.path = path
        content = np.fromfile(path, np.uint8, offset=len(SIGNATURE))
        self._pixels = content[2:].reshape(content[:2])
        self.header = Header("RAW", "L", self._pixels.shape, 8)

    def require_image(self, channels):
        assert channels == 1

    def require_mask(self):
        pass

    def image(self, channels, *, at_least=None, keep_alpha=False):
        return self._pixels[..., np.newaxis]

    def mask(self, *, keep_alpha=False):
        return self._pixels

    def colors(self):
        raise ValueError(f"no colors in '{self.path}'")


@contextmanager
def open_raw(path, _):
    yield RawFile(path)


@pytest.mark.parametrize("signatures", [(SIGNATURE,), ()])
def test_registered_kinds_are_recognized_by_signature_or_extension(
    tmp_path, monkeypatch, signatures
):
    kind = FileKind((".raw",), signatures, open_raw)
    monkeypatch.setattr(opening, "KINDS", (kind, *opening.KINDS))
    path = tmp_path / "a.raw"
    path.write_bytes(SIGNATURE + bytes([2, 3, 0, 1, 2, 1, 0, 2]))
    ids = [[0, 1, 2], [1, 0, 2]]
    assert opening.read_header(str(path), channels=1).size == (2, 3)
    assert opening.decode_image(str(path), channels=1)[..., 0].tolist() == ids
    assert Labels(n_classes=3).read(str(path), 10).tolist() == ids
    with pytest.raises(ValueError, match=r"\[0, 2\). Received: 2 in 2 of 6 pixels of '.*a.raw'"):
        Labels(n_classes=2).read(str(path), 10)


def test_every_extension_belongs_to_one_kind():
    assert len(set(opening.EXTENSIONS)) == len(opening.EXTENSIONS)
    pillow = Image.registered_extensions()
    formats = {pillow[extension] for kind in (PILLOW, TIFF) for extension in kind.extensions}
    assert formats == {*FORMATS, "TIFF"}
