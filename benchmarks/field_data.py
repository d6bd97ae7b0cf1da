"""Generated data sets of different kinds, for `field_test.py`.

Each set is written as `NAME/{train,test}/{images,masks}`, as `field_test.py` reads it:

- `cells`: gray microscopy of touching cells, masks of 0 and 255 with thin gaps between cells.
- `cracks`: concrete with cracks of 1 to 4 pixels, 1 to 2 % of the pixels; JPEG images.
- `tiles`: 16-bit gray TIFF tiles of 1500x1500 pixels from above, with fields, roads, buildings.
- `leaves`: 12 training images of crops and weeds; names of masks end in `_mask`.
- `harbor`: 6 classes with a direction, the rarest (buoys) below 0.1 % of the pixels.
- `pages`: scanned pages of many sizes, classes as colors.

Seed and sizes are fixed: equal seeds write equal pixels, but for the compression of the files.

    python benchmarks/field_data.py --output field
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Sample = tuple[np.ndarray, np.ndarray]
Points = list[tuple[float, float]]


def cloud(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Returns smooth noise of mean 0 and deviation 1, with details from `cell` pixels down."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(4):
        step = max(cell / 2**octave, 1.0)
        grid = (int(height / step) + 2, int(width / step) + 2)
        coarse = Image.fromarray(rng.standard_normal(grid).astype(np.float32))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 1.7**octave
    return (total - total.mean()) / total.std()


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Returns an image after a Gaussian filter with mirrored borders."""
    pad = int(np.ceil(4 * sigma)) + 1
    rest = [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, [(pad, pad), (pad, pad), *rest], mode="symmetric")
    for axis in (0, 1):
        n = padded.shape[axis]
        gain = np.exp(-2 * (np.pi * sigma * np.fft.rfftfreq(n)) ** 2)
        gain = gain.reshape([-1 if at == axis else 1 for at in range(image.ndim)])
        padded = np.fft.irfft(np.fft.rfft(padded, axis=axis) * gain, n, axis=axis)
    return padded[pad:-pad, pad:-pad].astype(np.float32)


def polygon(shape: tuple[int, int], points: Points) -> np.ndarray:
    """Returns the pixels of a polygon; points are (x, y)."""
    plane = Image.new("1", shape[::-1])
    ImageDraw.Draw(plane).polygon(points, fill=1)
    return np.array(plane)


def stroke(shape: tuple[int, int], points: Points, width: int) -> np.ndarray:
    """Returns the pixels of a line through points (x, y)."""
    plane = Image.new("1", shape[::-1])
    ImageDraw.Draw(plane).line(points, fill=1, width=width, joint="curve")
    return np.array(plane)


def ring(
    center: tuple[float, float], axes: tuple[float, float], angle: float, steps: int = 40
) -> Points:
    """Returns the outline of an ellipse; `steps=4` makes it a rhombus."""
    turns = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    x, y = axes[0] * np.cos(turns), axes[1] * np.sin(turns)
    cos, sin = np.cos(angle), np.sin(angle)
    return list(zip(center[0] + cos * x - sin * y, center[1] + sin * x + cos * y, strict=True))


def box(center: tuple[float, float], size: tuple[float, float], angle: float) -> Points:
    """Returns the corners of a turned rectangle."""
    cos, sin = np.cos(angle), np.sin(angle)
    corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    return [
        (
            center[0] + cos * size[0] * x - sin * size[1] * y,
            center[1] + sin * size[0] * x + cos * size[1] * y,
        )
        for x, y in corners
    ]


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Rounds values in [0, 1] to 8 bits."""
    return (image.clip(0, 1) * 255).round().astype(np.uint8)


# Beyond this distance in pixels, no cell touches another one.
REACH = 26


def cells(rng: np.random.Generator) -> Sample:
    """Draws touching cells of varying brightness, and debris that is not labeled."""
    shape = (384, 384)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    first = np.full(shape, 9.0, np.float32)
    second = first.copy()
    brightness = np.zeros(shape, np.float32)
    clusters = rng.uniform(20, 364, (rng.integers(4, 9), 2))
    placed: list[np.ndarray] = []
    for _ in range(rng.integers(80, 260)):
        if rng.random() < 0.8:
            center = rng.normal(clusters[rng.integers(len(clusters))], 36)
        else:
            center = rng.uniform(0, 384, 2)
        if any(np.hypot(*(center - other)) < 17 for other in placed):
            continue
        placed.append(center)
        top, left = (max(0, int(at) - REACH) for at in (center[1], center[0]))
        near = (
            slice(top, max(0, int(center[1]) + REACH)),
            slice(left, max(0, int(center[0]) + REACH)),
        )
        dx, dy = x[near] - center[0], y[near] - center[1]
        turn = np.arctan2(dy, dx)
        radius = np.float32(rng.uniform(9, 16)) * np.ones_like(dx)
        for wave in (2, 3, 5):
            radius *= 1 + rng.uniform(0, 0.32 / wave) * np.cos(wave * turn + rng.uniform(0, 6.3))
        distance = np.hypot(dx, dy) / radius
        nearer = distance < first[near]
        second[near] = np.where(nearer, first[near], np.minimum(second[near], distance))
        brightness[near][nearer] = rng.uniform(0.14, 0.5)
        first[near] = np.minimum(first[near], distance)
    gap = (second < 1.1) & (second - first < 0.17)
    mask = (first < 1) & ~gap
    texture = 1 + 0.28 * cloud(rng, shape, 5)
    dome = (1 - 0.6 * first.clip(0, 1) ** 3) * texture
    image = np.where(first < 1, brightness * dome * np.where(gap, 0.66, 1.0), 0.0)
    for _ in range(rng.integers(4, 12)):
        spot = polygon(shape, ring(tuple(rng.uniform(0, 384, 2)), (3, 2), rng.uniform(0, 3)))
        image = image + 0.4 * rng.random() * spot
    haze = np.zeros(shape, np.float32)
    for _ in range(rng.integers(2, 6)):
        haze += polygon(
            shape, ring(tuple(rng.uniform(0, 384, 2)), tuple(rng.uniform(10, 30, 2)), 0)
        )
    image = blurred(image.astype(np.float32), rng.uniform(0.9, 1.6)) + 0.16 * blurred(haze, 8)
    light = 1 + 0.22 * cloud(rng, shape, 300)
    image = (0.11 + 0.03 * cloud(rng, shape, 40) + image) * light.clip(0.4, 1.6)
    photons = rng.uniform(60, 160)
    image = rng.poisson(image.clip(0, None) * photons) / photons
    return to_bytes(image + rng.normal(0, 0.012, shape)), np.uint8(255) * mask


def wander(rng: np.random.Generator, start: np.ndarray, angle: float, steps: int) -> Points:
    """Returns a rough path of steps of 4 pixels."""
    points, at = [tuple(start)], start.astype(float)
    drift = rng.normal(0, 0.015)
    for _ in range(steps):
        angle += rng.normal(drift, 0.24)
        at = at + 4 * np.array([np.cos(angle), np.sin(angle)])
        points.append(tuple(at))
    return points


def cracks(rng: np.random.Generator) -> Sample:
    """Draws thin cracks on stained concrete, and joints and scratches, which are not cracks."""
    height, width = shape = (352, 448)
    fine = (2 * height, 2 * width)
    tone = np.array([0.56, 0.54, 0.5]) * rng.uniform(0.75, 1.2) + rng.normal(0, 0.02, 3)
    surface = 0.05 * cloud(rng, fine, 200) + 0.045 * cloud(rng, fine, 10)
    surface += 0.06 * rng.standard_normal(fine).astype(np.float32)
    for _ in range(rng.integers(40, 160)):
        spot = ring(tuple(rng.uniform(0, 900, 2)), tuple(rng.uniform(1.5, 6, 2)), rng.uniform(0, 3))
        surface += rng.normal(-0.08, 0.14) * polygon(fine, spot)
    stain = (cloud(rng, fine, 160) > rng.uniform(1.0, 2.2)).astype(np.float32)
    surface -= 0.12 * blurred(stain, 5)
    for _ in range(rng.integers(0, 3)):
        start, angle = rng.uniform(0, fine[0], 2), rng.uniform(0, np.pi)
        far = 1500 * np.array([np.cos(angle), np.sin(angle)])
        joint = stroke(fine, [tuple(start - far), tuple(start + far)], int(rng.integers(3, 11)))
        surface += rng.choice([-0.22, -0.14, 0.12]) * blurred(joint.astype(np.float32), 1.2)
    crack = np.zeros(fine, bool)
    if rng.random() > 0.12:
        for _ in range(rng.integers(1, 6)):
            start = rng.uniform(0.1, 0.9, 2) * (fine[1], fine[0])
            path = wander(rng, start, rng.uniform(0, 2 * np.pi), int(rng.integers(90, 260)))
            thick = rng.uniform(3, 8)
            for at in range(0, len(path) - 1, 6):
                piece = path[at : at + 7]
                crack |= stroke(fine, piece, max(2, int(thick * rng.uniform(0.6, 1.25))))
            for _ in range(rng.integers(0, 4)):
                fork = np.array(path[rng.integers(len(path))])
                branch = wander(rng, fork, rng.uniform(0, 2 * np.pi), int(rng.integers(15, 60)))
                crack |= stroke(fine, branch, max(2, int(thick * 0.6)))
    depth = 0.24 + 0.1 * cloud(rng, fine, 60)
    surface -= depth.clip(0.07, 0.5) * blurred(crack.astype(np.float32), 0.9)
    for _ in range(rng.integers(0, 6)):
        scratch = wander(rng, rng.uniform(0, 800, 2), rng.uniform(0, 6), int(rng.integers(5, 25)))
        surface += 0.1 * stroke(fine, scratch, 2)
    if rng.random() < 0.35:
        edge = polygon(fine, box(tuple(rng.uniform(0, 800, 2)), (900, 500), rng.uniform(0, 3)))
        surface -= 0.16 * blurred(edge.astype(np.float32), rng.uniform(2, 12))
    image = tone + surface[..., None] * np.array([1, 0.97, 0.92])
    image = blurred(image, rng.uniform(0.6, 1.8))
    image = image.reshape(height, 2, width, 2, 3).mean((1, 3))
    image = image * (1 + 0.15 * cloud(rng, shape, 400))[..., None]
    mask = crack.reshape(height, 2, width, 2).mean((1, 3)) >= 0.5
    return to_bytes(image + rng.normal(0, 0.015, image.shape)), np.uint8(255) * mask


def tiles(rng: np.random.Generator) -> Sample:
    """Draws land from above: 0 other land, 1 fields, 2 roads, 3 buildings; 12 of 16 bits used."""
    side = 1500
    shape = (side, side)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    nearest = np.full(shape, np.inf, np.float32)
    owner = np.zeros(shape, np.int32)
    sites = rng.uniform(-100, side + 100, (70, 2))
    stretch = rng.uniform(0.6, 1.6)
    for at, (cx, cy) in enumerate(sites):
        distance = (x - cx) ** 2 + stretch * (y - cy) ** 2
        closer = distance < nearest
        owner[closer] = at
        np.minimum(nearest, distance, out=nearest)
    image: np.ndarray = np.zeros(shape, np.float32)
    mask = np.zeros(shape, np.uint8)
    woods = 0.24 + 0.09 * cloud(rng, shape, 7)
    grass = 0.36 + 0.035 * cloud(rng, shape, 60) + 0.03 * cloud(rng, shape, 4)
    soil = cloud(rng, shape, 120)
    for at in range(len(sites)):
        inside = owner == at
        if rng.random() < 0.55:
            angle, period = rng.uniform(0, np.pi), rng.uniform(4, 14)
            wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
            field = rng.uniform(0.24, 0.6) + rng.uniform(0.006, 0.035) * wave + 0.03 * soil
            image[inside] = field[inside]
            mask[inside] = 1
        else:
            image[inside] = (woods if rng.random() < 0.45 else grass)[inside]
    edges = (np.diff(owner, axis=0, append=-1) != 0) | (np.diff(owner, axis=1, append=-1) != 0)
    hedge = (blurred(edges.astype(np.float32), 2) > 0.12) & (cloud(rng, shape, 90) > 0.3)
    image[hedge], mask[hedge] = woods[hedge], 0
    tracks = []
    for _ in range(rng.integers(5, 9)):
        start, angle = rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi)
        points = [tuple(start - 900 * np.array([np.cos(angle), np.sin(angle)]))]
        while len(points) < 60:
            angle += rng.normal(0, 0.12)
            points.append((points[-1][0] + 40 * np.cos(angle), points[-1][1] + 40 * np.sin(angle)))
        road = stroke(shape, points, int(rng.integers(5, 16)))
        image[road] = rng.uniform(0.3, 0.66) + 0.02 * rng.standard_normal(road.sum())
        mask[road] = 2
        tracks.append(points)
    crowns = cloud(rng, shape, 24) > 2.1
    for points in tracks:
        for px, py in points:
            if 0 <= px < side and 0 <= py < side and rng.random() < 0.5:
                car = polygon(shape, box((px, py), (7, 4), rng.uniform(0, 3)))
                image[car] = rng.choice([0.15, 0.85])
    towns = [points[rng.integers(15, 40)] for points in tracks]
    for _ in range(rng.integers(110, 240)):
        town = towns[rng.integers(len(towns))]
        center = tuple(rng.normal(town, 110))
        size, angle = tuple(rng.uniform(10, 42, 2)), rng.uniform(0, np.pi)
        roof = polygon(shape, box(center, size, angle))
        if (mask[roof] >= 2).any() or not roof.any():
            continue
        shadow = polygon(shape, box((center[0] + 4, center[1] + 5), size, angle)) & (mask < 2)
        image[shadow & ~roof] *= 0.45
        bright = rng.uniform(0.25, 0.9)
        ridge = polygon(shape, box(center, (size[0], size[1] / 2), angle))
        image[roof], mask[roof] = bright, 3
        image[roof & ridge] = bright * rng.uniform(0.75, 1.1)
    image[crowns & (mask < 2)] = woods[crowns & (mask < 2)]
    image = blurred(image, rng.uniform(0.8, 1.3)) * (1 + 0.1 * cloud(rng, shape, 900))
    counts = 180 + 3000 * image * rng.uniform(0.7, 1.2)
    counts = rng.poisson(counts.clip(1, None)) + rng.normal(0, 18, shape)
    counts += rng.normal(0, 10, (1, side))
    return counts.clip(0, 4095).round().astype(np.uint16), mask


def leaves(rng: np.random.Generator) -> Sample:
    """Draws a field from above: 0 soil, 1 crop, 2 weed."""
    height, width = shape = (288, 352)
    grain = 0.07 * cloud(rng, shape, 30) + 0.07 * cloud(rng, shape, 4)
    image = np.array([0.36, 0.28, 0.2]) * rng.uniform(0.7, 1.3) + grain[..., None]
    mask = np.zeros(shape, np.uint8)
    for _ in range(rng.integers(15, 50)):
        stone = polygon(
            shape, ring(tuple(rng.uniform(0, 352, 2)), tuple(rng.uniform(1.5, 8, 2)), rng.random())
        )
        image[stone] = rng.uniform(0.25, 0.65) * np.array([1, 0.97, 0.92])
    veins = cloud(rng, shape, 8)

    def cover(area: np.ndarray, color: np.ndarray, label: int) -> None:
        shadow = np.roll(area, (5, 4), (0, 1)).astype(np.float32)
        image[:] = image * (1 - 0.4 * blurred(shadow, 2.5))[..., None]
        image[area] = color * (1 + 0.13 * veins[area])[:, None]
        mask[area] = label

    plants = [(1, rng.uniform((20, 20), (332, 268))) for _ in range(rng.integers(2, 5))]
    plants += [(2, rng.uniform((0, 0), (352, 288))) for _ in range(rng.integers(5, 14))]
    for at in rng.permutation(len(plants)):
        label, center = plants[at]
        green = np.array([0.24, 0.45, 0.16]) * rng.uniform(0.75, 1.35)
        green = green + rng.normal(0, 0.03, 3)
        turn = rng.uniform(0, 2 * np.pi)
        if label == 1:
            n, long = int(rng.integers(4, 8)), rng.uniform(26, 52)
            for leaf in range(n):
                angle = turn + 2 * np.pi * leaf / n + rng.normal(0, 0.25)
                middle = center + 0.62 * long * np.array([np.cos(angle), np.sin(angle)])
                outline = ring(tuple(middle), (0.6 * long, rng.uniform(0.2, 0.32) * long), angle)
                tint = green * rng.uniform(0.85, 1.15)
                cover(polygon(shape, outline), tint, 1)
                tip = center + 1.15 * long * np.array([np.cos(angle), np.sin(angle)])
                rib = stroke(shape, [tuple(center), tuple(tip)], 1) & (mask == 1)
                image[rib] = image[rib] * 0.6 + 0.4 * np.array([0.6, 0.72, 0.4])
        else:
            for _ in range(rng.integers(4, 11)):
                if rng.random() < 0.6:
                    path = wander(rng, center, rng.uniform(0, 6.3), int(rng.integers(3, 9)))
                    blade = stroke(shape, path, int(rng.integers(2, 5)))
                else:
                    place = tuple(center + rng.normal(0, 7, 2))
                    blade = polygon(
                        shape, ring(place, tuple(rng.uniform(2, 7, 2)), rng.uniform(0, 3))
                    )
                cover(blade, green * rng.uniform(0.9, 1.1), 2)
    dry = polygon(shape, box(tuple(rng.uniform(0, 300, 2)), (60, 3), rng.uniform(0, 3)))
    image[dry & (mask == 0)] = np.array([0.62, 0.55, 0.35])
    sun = 1 + 0.28 * cloud(rng, shape, 220)
    image = blurred(image * sun.clip(0.35, 1.7)[..., None], rng.uniform(0.6, 1.3))
    image = image * rng.uniform(0.8, 1.2) + rng.normal(0, 0.025, (height, width, 3))
    return to_bytes(image), mask


def harbor(rng: np.random.Generator) -> Sample:
    """Draws the sea: 0 sky, 1 water, 2 land, 3 ship, 4 bird, 5 buoy."""
    height, width = shape = (288, 384)
    y = np.mgrid[:height, :width][0].astype(np.float32)
    horizon = rng.uniform(0.3, 0.55) * height
    light = rng.uniform(0.55, 1.0)
    sky = np.array([0.62, 0.74, 0.88]) * light + rng.normal(0, 0.04, 3)
    water = np.array([0.24, 0.38, 0.44]) * light + rng.normal(0, 0.05, 3)
    image = sky + 0.12 * ((y / horizon) - 0.5)[..., None] + np.zeros((height, width, 3))
    puffs = cloud(rng, (height, width), 90).clip(0, None)
    image += (0.1 * rng.normal(1, 1) * puffs)[..., None]
    mask = np.zeros(shape, np.uint8)
    sea = y >= horizon
    # Waves are flatter and finer near the horizon.
    waves = cloud(rng, (3 * height, width), 16)
    rows = (horizon + (y[:, 0] - horizon).clip(0, None) ** 0.8 * 6).astype(int) % (3 * height)
    rough = waves[rows]
    surface = water + (rng.uniform(0.05, 0.12) * rough)[..., None]
    surface += (0.25 * ((y - horizon) / height))[..., None] * (water - 0.25)
    glint = (rough > rng.uniform(1.8, 2.6)) & sea
    image[sea], mask[sea] = surface[sea], 1
    image[glint] += 0.3
    if rng.random() < 0.7:
        steps = np.linspace(0, width, 14)
        heights = horizon - rng.uniform(4, 34) * np.abs(rng.normal(1, 0.5, 14))
        if rng.random() < 0.5:
            heights = np.minimum(
                horizon + 2, heights + np.linspace(0, 60, 14)[:: rng.choice([1, -1])]
            )
        outline = [*zip(steps, heights, strict=True), (width, horizon + 2), (0, horizon + 2)]
        land = polygon(shape, outline) & (y < horizon + 2)
        tint = np.array([0.3, 0.38, 0.27]) * light + 0.25 * (sky - 0.3)
        image[land] = (tint + 0.06 * cloud(rng, shape, 10)[..., None])[land]
        mask[land] = 2
    for _ in range(rng.integers(0, 4)):
        near = rng.random() ** 1.6
        bottom = horizon + 2 + near * 0.45 * (height - horizon)
        long, at = 16 + 95 * near * rng.uniform(0.6, 1.2), rng.uniform(0, width)
        tall = long * rng.uniform(0.12, 0.2)
        hull = polygon(
            shape,
            [
                (at - long / 2, bottom - tall), (at + long / 2, bottom - tall),
                (at + long * 0.4, bottom), (at - long * 0.42, bottom),
            ],
        )  # fmt: skip
        cabin = polygon(
            shape,
            box(
                (at - rng.uniform(-0.2, 0.25) * long, bottom - 1.6 * tall),
                (long / 3, 1.6 * tall),
                0,
            ),
        )
        mast = stroke(shape, [(at, bottom - tall), (at, bottom - 4.5 * tall)], 1 + (near > 0.5))
        image[mast | cabin] = rng.uniform(0.5, 0.95) * light
        image[hull] = rng.uniform(0.05, 0.7, 3) * light
        mask[hull | cabin | mast] = 3
        below = np.roll(hull, int(tall), 0) & (mask == 1)
        image[below] *= 0.7
    for label, chance, most in ((4, 0.4, 4), (5, 0.5, 3)):
        if rng.random() > chance:
            continue
        for _ in range(rng.integers(1, most)):
            at = rng.uniform(8, width - 8)
            if label == 4:
                high, span = rng.uniform(4, horizon - 8), rng.uniform(4, 11)
                lift = rng.uniform(-0.5, 0.3) * span
                wings = [(at - span, high + lift), (at, high), (at + span, high + lift)]
                bird = stroke(shape, wings, int(rng.integers(1, 4)))
                image[bird], mask[bird] = rng.uniform(0.15, 0.45), 4
            else:
                near = rng.random()
                foot = horizon + 6 + near * (height - horizon - 20)
                size = 2.5 + 5 * near
                body = polygon(
                    shape,
                    [(at - size / 2, foot), (at + size / 2, foot), (at, foot - 2.2 * size)],
                )
                image[body] = np.array([[0.75, 0.2, 0.15], [0.2, 0.5, 0.3], [0.8, 0.65, 0.2]])[
                    rng.integers(3)
                ] * (light * rng.uniform(0.7, 1.1))
                mask[body] = 5
    # White caps and drops on the lens look like small objects.
    for _ in range(rng.integers(3, 15)):
        place = (rng.uniform(0, width), rng.uniform(horizon + 5, height))
        foam = polygon(shape, ring(place, (rng.uniform(2, 8), rng.uniform(0.8, 2)), 0))
        image[foam & (mask == 1)] += rng.uniform(0.1, 0.4)
    fog = rng.uniform(0, 0.4) * np.exp(-(((y - horizon) / 40) ** 2))
    image = image * (1 - fog)[..., None] + (fog * 0.75 * light)[..., None]
    image = blurred(image, rng.uniform(0.5, 1.1)) + rng.normal(0, 0.025, image.shape)
    return to_bytes(image), mask


PAGE_COLORS = np.array(
    [[0, 0, 0], [0, 0, 255], [255, 0, 0], [0, 160, 0], [255, 200, 0]], np.uint8
)  # background, text, heading, photograph, table


def pages(rng: np.random.Generator) -> Sample:
    """Draws scanned pages with text, headings, photographs and tables; masks are colors."""
    height, width = shape = (int(rng.integers(280, 560)), int(rng.integers(240, 480)))
    ink = np.zeros(shape, np.float32)
    mask = np.zeros(shape, np.uint8)
    margin = int(rng.integers(14, 34))
    columns = int(rng.integers(1, 3 if width < 340 else 4))
    column = (width - 2 * margin - 10 * (columns - 1)) // columns

    def write(top: int, left: int, right: int, size: int, dark: float) -> None:
        at = left
        while at < right - 2:
            long = int(rng.integers(2, 8) * size * 0.55) + 1
            for letter in range(at, min(at + long, right), max(2, size // 2)):
                tall = size if rng.random() < 0.3 else int(size * 0.7)
                thick = max(1, size // 4)
                ink[top + size - tall : top + size, letter : letter + thick] = dark
                if rng.random() < 0.7:
                    across = top + size - int(rng.integers(1, tall + 1))
                    ink[across : across + thick, letter : letter + max(2, size // 2)] = dark
            at += long + max(2, size // 2)

    for number in range(columns):
        left = margin + number * (column + 10)
        top = margin
        while top < height - margin - 12:
            right = left + column
            kind = rng.choice(4, p=[0.52, 0.2, 0.16, 0.12])
            if kind == 0:
                size, lines = int(rng.integers(3, 6)), int(rng.integers(3, 11))
                pitch = size + int(rng.integers(2, 5))
                lines = min(lines, (height - margin - top) // pitch)
                dark = rng.uniform(0.45, 0.8)
                for line in range(lines):
                    end = right if line < lines - 1 else left + int(column * rng.uniform(0.3, 0.9))
                    write(top + line * pitch, left, end, size, dark)
                bottom = top + lines * pitch
            elif kind == 1:
                size = int(rng.integers(7, 14))
                right = left + int(column * rng.uniform(0.35, 0.95))
                bottom = min(top + size + 2, height - margin)
                write(top + 1, left, right, size, rng.uniform(0.6, 0.85))
            elif kind == 2:
                bottom = min(top + int(rng.integers(40, 110)), height - margin)
                scene = 0.4 + 0.2 * cloud(rng, shape, rng.uniform(10, 50))
                if rng.random() < 0.3:
                    scene = scene * 0.5
                ink[top:bottom, left:right] = scene[top:bottom, left:right].clip(0.02, 0.9)
            else:
                rows, pitch = int(rng.integers(3, 8)), int(rng.integers(8, 13))
                rows = max(1, min(rows, (height - margin - top) // pitch))
                cuts = np.linspace(left, right, int(rng.integers(3, 6))).astype(int)
                for row in range(rows):
                    for start, end in itertools.pairwise(cuts):
                        stop = start + 3 + int((end - start - 5) * rng.uniform(0.3, 1))
                        write(top + row * pitch + 3, start + 3, stop, 4, 0.65)
                    if rng.random() < 0.8:
                        ink[top + row * pitch, left:right] = 0.5
                bottom = top + rows * pitch
                if rng.random() < 0.5:
                    ink[top:bottom, cuts[1:-1]] = 0.5
            mask[top:bottom, left:right] = kind + 1
            top = bottom + int(rng.integers(5, 18))
    angle = float(rng.normal(0, 2))
    ink = np.array(Image.fromarray(ink).rotate(angle, Image.Resampling.BICUBIC))
    mask = np.array(Image.fromarray(mask).rotate(angle))
    paper = np.array([0.93, 0.91, 0.86]) * rng.uniform(0.78, 1.05) + rng.normal(0, 0.02, 3)
    ghost = 0.12 * rng.random() * blurred(ink[:, ::-1], 2)
    image = (1 - blurred(ink, rng.uniform(0.4, 0.9)) - ghost)[..., None] * paper
    image *= (1 + 0.06 * cloud(rng, shape, 300) + 0.012 * cloud(rng, shape, 3))[..., None]
    stain = blurred((cloud(rng, shape, 120) > 1.9).astype(np.float32), 4)
    image *= 1 - stain[..., None] * np.array([0.12, 0.2, 0.3])
    return to_bytes(image + rng.normal(0, 0.02, image.shape)), PAGE_COLORS[mask]


@dataclass(frozen=True)
class Kind:
    """How a data set is drawn and written."""

    draw: Callable[[np.random.Generator], Sample]
    n_train: int
    n_test: int
    image_suffix: str = ".png"
    mask_ending: str = ".png"


KINDS = {
    "cells": Kind(cells, 30, 8),
    "cracks": Kind(cracks, 60, 15, ".jpg"),
    "tiles": Kind(tiles, 4, 2, ".tif", ".tif"),
    "leaves": Kind(leaves, 12, 6, ".png", "_mask.png"),
    "harbor": Kind(harbor, 100, 25, ".jpg"),
    "pages": Kind(pages, 50, 12),
}


def generate(name: str, folder: Path, seed: int = 0) -> None:
    """Writes one data set, `folder/{train,test}/{images,masks}`."""
    kind = KINDS[name]
    rng = np.random.default_rng([seed, sorted(KINDS).index(name)])
    for part, number in (("train", kind.n_train), ("test", kind.n_test)):
        images, masks = folder / part / "images", folder / part / "masks"
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for at in range(number):
            image, mask = kind.draw(rng)
            stem = f"{name}_{at:03d}"
            Image.fromarray(image).save(images / (stem + kind.image_suffix), quality=92)
            Image.fromarray(mask).save(masks / (stem + kind.mask_ending))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("field"))
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=sorted(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.kinds:
        generate(name, arguments.output / name, arguments.seed)
        print(arguments.output / name, flush=True)


if __name__ == "__main__":
    main()
