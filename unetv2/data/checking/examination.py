"""One pair of files: read, and everything about it but its pixels kept."""

from __future__ import annotations

import os
from dataclasses import dataclass

from unetv2.data.checking.findings import Finding
from unetv2.data.checking.images import ImageFacts, examine_image
from unetv2.data.checking.masks import MaskFacts, examine_mask
from unetv2.data.decoding import ArrayFile, Header, open_file
from unetv2.data.header import fits_as_stored, is_turn_ambiguous
from unetv2.data.labels import Labels
from unetv2.data.pairs import Pair
from unetv2.data.picture import PictureFile
from unetv2.data.refusal import MaskError


@dataclass(frozen=True)
class Examination:
    """What a pair holds; None where a file could not be read.

    Args:
        pair: The pair.
        image_header: What the image says of itself.
        mask_header: What the mask says of itself.
        image: What the image holds.
        mask: What the mask holds.
        findings: What is wrong with the two.
    """

    pair: Pair
    image_header: Header | None
    mask_header: Header | None
    image: ImageFacts | None
    mask: MaskFacts | None
    findings: list[Finding]


def examine_pair(pair: Pair, labels: Labels, max_pixels: int, channels: int = 3) -> Examination:
    """Reads a pair and says what it holds and what is wrong with it; never raises.

    Args:
        pair: The pair.
        labels: What masks hold.
        max_pixels: int. Larger pictures are not decoded.
        channels: int. Channels of the image.
    """
    findings: list[Finding] = []

    def find(severity: str, kind: str, path: str, message: str) -> None:
        findings.append(Finding(severity, kind, path, message, pair.image, pair.mask))

    image_header = mask_header = image = mask = None
    # Decoders raise whatever they like on files that are broken.
    try:
        with open_file(pair.image, max_pixels) as file:
            image_header = file.header
            pixels = file.image(channels, spare=True)
        image = examine_image(pixels, channels)
    except Exception as error:
        find("error", "unreadable_image", pair.image, _reason(error, pair.image))
    try:
        stored = None
        with open_file(pair.mask, max_pixels) as file:
            mask_header = file.header
            if _is_lossy(file):
                message = f"{mask_header.format} loses ids at every edge"
                find("error", "lossy_mask", pair.mask, message)
            else:
                stored = labels.stored(file)
        if stored is not None:
            mask = examine_mask(stored, labels, pair.mask)
    except MaskError as error:
        find("error", error.kind, pair.mask, error.summary)
    except Exception as error:
        find("error", "unreadable_mask", pair.mask, _reason(error, pair.mask))
    if image_header and mask_header:
        turns = f"{image_header.orientation} of the image, {mask_header.orientation} of the mask"
        sizes = [f"{height}x{width}" for height, width in (image_header.size, mask_header.size)]
        if fits_as_stored(image_header, mask_header):
            message = f"{turns}, whose sizes are equal without turning"
            find("error", "orientations_differ", pair.image, message)
        elif image_header.size != mask_header.size:
            message = f"the image has {sizes[0]}, the mask {sizes[1]}"
            find("error", "sizes_differ", pair.mask, message)
        elif is_turn_ambiguous(image_header, mask_header):
            find("error", "orientations_differ", pair.image, turns)
    if image is not None and image.blank:
        find("warning", "blank_image", pair.image, "all pixels are equal")
    for severity, kind, message in mask.problems if mask else ():
        find(severity, kind, pair.mask, message)
    return Examination(pair, image_header, mask_header, image, mask, findings)


def _is_lossy(file: PictureFile | ArrayFile) -> bool:
    if isinstance(file, ArrayFile):
        return False
    try:
        file.require_mask()
    except ValueError:
        return True
    return False


def _reason(error: Exception, path: str) -> str:
    """Returns an error's text on one line, with the file's name in place of its path."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(path, os.path.basename(path))
