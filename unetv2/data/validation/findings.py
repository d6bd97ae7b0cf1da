"""What the doctor finds: problems, and figures about classes."""

from __future__ import annotations

from dataclasses import dataclass

ADVICE = {
    "no_pair": "Pass `image_suffix` or `mask_suffix` where names carry one.",
    "image_alone": "Add the mask or remove the image; names must match, extensions aside.",
    "mask_alone": "Add the image or remove the mask; names must match, extensions aside.",
    "unreadable_image": "Replace the file, or remove it together with its mask.",
    "unreadable_mask": "Replace the file, or remove it together with its image.",
    "lossy_mask": "Make it again from its source, as PNG.",
    "sizes_differ": "Resize the mask by nearest neighbor, or find the one that belongs to it.",
    "orientations_differ": "EXIF turns the two differently. Save the image upright if its mask is; "
    "if the mask fits the pixels as they are stored, remove the orientation tag.",
    "alpha_mask": "Save the alpha channel as the mask.",
    "mixed_masks": "Save all masks in one way, or pass encoding='colors' with `classes`.",
    "label_map_collision": "Add that id to `label_map`: to itself, or to another one.",
    "out_of_range": "Raise `n_classes`, or pass `ignore_class`, `label_map` or `encoding`.",
    "colors_for_ids": "Pass encoding='colors' with `classes`, or encoding='max_channel' if the "
    "largest channel is the id.",
    "foreign_colors": "Add them to the table, or make the mask again if they mix at edges.",
    "not_binary": "Make the mask again without smoothing, or pass encoding='ids' or "
    "encoding='colors'.",
    "instance_ids": "Take the masks of class ids, such as Cityscapes' _labelIds.",
    "binary_masks": "Pass encoding='binary'.",
    "unread_files": "Convert them to a format that is read, such as PNG, or move them away.",
    "leakage": "Remove one of the two, or keep them together with `group_by`.",
    "contradiction": "Keep the pair whose mask is right.",
    "duplicate": "Remove one of the two.",
    "antialiased": "Make the mask again without smoothing; resize by nearest neighbor only.",
    "empty_mask": "Check that it is meant to be empty.",
    "single_class": "Check that it is meant to hold one class.",
    "blank_image": "Check the recording.",
    "absent_class": "Add images of it, or leave it out of the figures.",
}
"""Every kind of finding, the gravest first, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One problem of a data set.

    Attributes:
        severity: str. ``"error"``: training fails or its figures are wrong. ``"warning"``: look
            at it.
        kind: str. A key of the table in the documentation, such as ``"out_of_range"``.
        path: str or None. The file; None for the whole data set.
        message: str. What was found.
        image: str or None. Path of the pair's image.
        mask: str or None. Path of the pair's mask.

    Example:
        >>> from unetv2.data.validation import Finding
        >>> Finding("warning", "blank_image", "a.png", "all pixels are equal").severity
        'warning'
    """

    severity: str
    kind: str
    path: str | None
    message: str
    image: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class ClassStatistics:
    """How often one id occurs.

    Attributes:
        id: int. The class id, after ``label_map``.
        name: str. Its name in the table, ``"ignored"``, ``"ignored?"`` for a guess, or empty.
        pixels: int. Pixels of that id.
        share: float in [0, 1]. Of all pixels counted.
        images: int. Images in which it occurs.
        weight: float or None. Weight by median frequency; None for ids that are no class.
        root_weight: float or None. Its square root, milder with rare classes.

    Example:
        >>> from unetv2.data.validation import ClassStatistics
        >>> ClassStatistics(1, "road", 30, 0.3, 2, 4.0, 2.0).root_weight
        2.0
    """

    id: int
    name: str
    pixels: int
    share: float
    images: int
    weight: float | None
    root_weight: float | None
