from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import unetv2
from unetv2.visualization import (
    class_bars,
    colorize,
    confusion,
    legend,
    overlay,
    panel,
    side_by_side,
    training_curves,
)


def test_a_mask_has_the_colors_of_the_table_and_unknown_ids_are_white():
    painted = colorize(np.array([[0, 10], [11, 255], [-1, 3]]), unetv2.CAMVID)
    colors = unetv2.CAMVID.colors
    white = (255, 255, 255)
    expected = [[colors[0], colors[10]], [white, white], [white, colors[3]]]
    np.testing.assert_array_equal(painted, expected)
    assert painted.dtype == np.uint8
    np.testing.assert_array_equal(
        colorize(np.array([[[7]]]), unetv2.CARLA), [[unetv2.CARLA.colors[7]]]
    )


def test_ignored_pixels_are_white():
    table = unetv2.ClassTable.numbered(3, ignore_class=0)
    white, colors = (255, 255, 255), table.colors
    ids = np.array([[0, 1, 2]])
    np.testing.assert_array_equal(colorize(ids, table), [[white, colors[1], colors[2]]])
    images = np.zeros((1, 1, 3, 3))
    for classes, ignore_class in ((table, None), (unetv2.ClassTable.numbered(3), 0)):
        figure = side_by_side(images, ids[None], ids[None], classes, ignore_class=ignore_class)
        names = [text.get_text() for text in figure.legends[0].texts]
        assert names == ["class 1", "class 2", "ignored"]
        shown = figure.axes[1].images[0].get_array()
        np.testing.assert_array_equal(shown, [[white, colors[1], colors[2]]])
    assert [text.get_text() for text in legend(table).legends[0].texts] == names


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_a_table_can_have_more_classes_than_the_dtype_of_masks_has_values(dtype):
    table = unetv2.ClassTable(tuple(map(str, range(256))), ((9, 9, 9),) * 256)
    np.testing.assert_array_equal(colorize(np.array([[0, 200]], dtype), table), [[(9, 9, 9)] * 2])


def test_curves_show_training_and_validation_of_each_metric(tmp_path):
    history = {"accuracy": [0.1, 0.5], "val_accuracy": [0.1, 0.4], "mean_iou": [0.0, 0.2]}
    figure = training_curves(history)
    accuracy, mean_iou = figure.axes
    assert (accuracy.get_title(), mean_iou.get_title()) == ("accuracy", "mean iou")
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [[0.1, 0.5], [0.1, 0.4]]
    assert [text.get_text() for text in accuracy.get_legend().texts] == ["training", "validation"]
    assert len(mean_iou.lines) == 1
    figure.savefig(tmp_path / "curves.png")


def test_losses_and_values_above_one_have_their_own_limits():
    history = {
        "mean_iou": [0.1, 0.2], "broken": [0.1, float("nan")], "learning_rate": [1e-3, 5e-4],
        "loss": [2.0, 1.0], "head_loss": [0.2, 0.1], "pixels": [1.0, 7.0],
    }  # fmt: skip
    panels = dict(zip(history, training_curves(history).axes, strict=True))
    shares = {name for name, axes in panels.items() if axes.get_ylim() == (0, 1)}
    assert shares == {"mean_iou", "broken"}
    assert panels["learning_rate"].get_ylim()[1] < 2e-3


def test_the_legend_shows_the_present_classes_and_ignored(tmp_path):
    images = np.random.default_rng(0).random((2, 6, 8, 3))
    masks = np.full((2, 6, 8, 1), 3)
    masks[0, 0] = 11
    predictions = np.full((2, 6, 8), 5)
    figure = side_by_side(images, masks, predictions, unetv2.CAMVID)
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.texts] == ["Road", "Tree", "ignored"]
    road = np.array(to_rgb(legend.get_patches()[0].get_facecolor())) * 255
    np.testing.assert_allclose(road, unetv2.CAMVID.colors[3])
    assert len(figure.axes) == 6
    figure.savefig(tmp_path / "predictions.png")


def test_empty_plots_raise():
    with pytest.raises(ValueError, match="`mask` must be of shape .*Received: \\(4, 8, 8\\)"):
        colorize(np.zeros((4, 8, 8), int), unetv2.CARLA)
    with pytest.raises(ValueError, match="`history` must hold values by epoch. Received: no value"):
        training_curves({"val_loss": [1.0]})
    with pytest.raises(ValueError, match="must have the same length, at least 1. Received: 1, 2"):
        side_by_side(np.zeros((1, 2, 2, 3)), np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), unetv2.CARLA)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_an_overlay_blends_images_of_any_channels_and_dtype(channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (4, 5, channels), np.uint8)
    mask = rng.integers(0, 12, (4, 5))
    shown = (image[..., :3] if channels >= 3 else image[..., :1]).astype(float)
    colors = colorize(mask, unetv2.CAMVID)
    for same in (image, image.astype(np.uint16) * 257, image / 255):
        for opacity in (0, 0.3, 1):
            found = overlay(same, mask, unetv2.CAMVID, opacity=opacity)
            expected = shown * (1 - opacity) + colors * opacity
            np.testing.assert_allclose(found, expected, atol=0.5 + 1e-6)
            assert found.dtype == np.uint8


def test_an_overlay_checks_sizes_and_opacity():
    image, mask = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), int)
    with pytest.raises(ValueError, match="`image` must be .* of the mask's height and width"):
        overlay(image, mask[1:], unetv2.CARLA)
    with pytest.raises(
        ValueError, match="`opacity` must be a number in \\[0, 1\\]. Received: opac"
    ):
        overlay(image, mask, unetv2.CARLA, opacity=2)


def test_a_confusion_matrix_is_in_percent_of_its_rows(tmp_path):
    table = unetv2.ClassTable.numbered(4)
    counts = np.zeros((4, 4), int)
    counts[0, :2] = 3, 1
    counts[3, 3] = 5
    figure = confusion(counts, table)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0, 0, 1]])
    assert [text.get_text() for text in axes.texts] == ["75", "25", "100"]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["class 0", "class 1", "class 3"]  # The other one is nowhere.
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "ground truth")
    figure.savefig(tmp_path / "confusion.png")


def test_bars_are_sorted_in_the_classes_colors_with_their_intervals(tmp_path):
    values = [0.5, np.nan, 0.75]
    table = unetv2.ClassTable(("a", "b", "c"), ((255, 0, 0), (0, 0, 0), (0, 0, 255)))
    figure = class_bars(values, table, intervals=[[0.4, 0.6], [np.nan] * 2, [0.7, 0.8]])
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.5]
    assert [to_rgb(bar.get_facecolor()) for bar in axes.patches] == [(0, 0, 1), (1, 0, 0)]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["c", "a"]
    segments = axes.collections[0].get_segments()
    np.testing.assert_allclose([line[:, 0] for line in segments], [[0.7, 0.8], [0.4, 0.6]])
    figure.savefig(tmp_path / "bars.png")
    assert len(class_bars(values, table).axes[0].collections) == 0


def test_a_legend_names_every_class_and_the_ignored(tmp_path):
    figure = legend(unetv2.CAMVID)
    words = [text.get_text() for text in figure.legends[0].texts]
    assert words == [*unetv2.CAMVID.names, "ignored"]
    figure.savefig(tmp_path / "legend.png")
    assert len(legend(unetv2.CARLA, columns=2).legends[0].texts) == 23


def test_plots_of_other_classes_raise():
    table = unetv2.ClassTable.numbered(3)
    with pytest.raises(ValueError, match=r"`counts` must be \(3, 3\).*Received: shape \(2, 2\)"):
        confusion(np.ones((2, 2)), table)
    with pytest.raises(ValueError, match="`counts` must hold a pixel"):
        confusion(np.zeros((3, 3)), table)
    with pytest.raises(ValueError, match=r"`values` must hold a number.*shapes \(2,\)"):
        class_bars([0.1, 0.2], table)
    with pytest.raises(ValueError, match=r"and `intervals` two.*shapes \(3,\), \(3,\)"):
        class_bars([0.1, 0.2, 0.3], table, intervals=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="`values` must hold a number. Received: only NaN"):
        class_bars([np.nan] * 3, table)
    with pytest.raises(ValueError, match="`columns` must be a positive integer"):
        legend(table, columns=0)


def test_a_panel_shows_images_of_any_size_with_their_classes():
    table = unetv2.ClassTable(
        ("road", "car", "sky"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), ignore_class=255
    )
    images = [np.full((20, 10, 1), 0.5, np.float32), np.full((8, 16, 4), 65535, np.uint16)]
    masks = [np.zeros((20, 10, 1), int), np.full((8, 16), 255)]
    predictions = [np.ones((20, 10), int), np.ones((8, 16), int)]
    drawn = panel(images, masks, predictions, table, width=40)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1:] == (3 * 40 + 4 * 6, 3)
    # The centers of the rows of 40 and 20 pixels, below the titles.
    centers = [[drawn[top, 6 + 20 + 46 * column].tolist() for column in range(3)]
               for top in (26 + 20, 26 + 46 + 10)]  # fmt: skip
    assert centers == [
        [[128, 128, 128], [255, 0, 0], [0, 255, 0]],
        [[255, 255, 255], [255, 255, 255], [0, 255, 0]],
    ]
    # The legend has no class that does not occur.
    assert (drawn[92:] == (255, 0, 0)).all(axis=-1).any()
    assert not (drawn == (0, 0, 255)).all(axis=-1).any()
    # Further classes need further lines.
    ids = np.arange(23)[:, np.newaxis]
    image = np.zeros((23, 1, 3), np.uint8)
    small, large = (
        panel([image], [ids], [ids], unetv2.CARLA, width=width).shape[0] - width
        for width in (64, 640)
    )
    assert small > large


def test_a_panel_checks_its_arguments():
    with pytest.raises(ValueError, match="must have the same length.*Received: 1, 0 and 1"):
        panel([np.zeros((4, 5, 3))], [], [np.zeros((4, 5), int)], unetv2.CARLA)
    with pytest.raises(ValueError, match="`width` must be an integer of at least 16"):
        panel([np.zeros((4, 5, 3))], *2 * [[np.zeros((4, 5), int)]], unetv2.CARLA, width=0)
