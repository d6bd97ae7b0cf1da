"""`Predictor`, and the functions on top of it: images, folders and videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias, Unpack, overload

import keras
import numpy as np

from unetv2.exporting.artifact import is_artifact
from unetv2.exporting.exported_model import ExportedModel, load_exported
from unetv2.inference.prediction import Prediction
from unetv2.inference.predictor import ImagePredictor, PredictorOptions
from unetv2.keras_files import load_model
from unetv2.prediction.directory import PredictedDirectory, predict_jobs
from unetv2.prediction.output_files import plan_jobs
from unetv2.prediction.video import PredictedVideo, plan_video, predict_video_job

PathLike = str | os.PathLike[str]
Model: TypeAlias = keras.Model | ExportedModel | PathLike


def load(model: Any) -> Any:
    """Loads a ``.keras`` file, without compiling, or an exported model; models are returned.

    Raises:
        TypeError: If it is neither a model nor a path.
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged or not a model.
    """
    if isinstance(model, keras.Model | ExportedModel):
        return model
    if not isinstance(model, str | os.PathLike):
        raise TypeError(
            "`model` must be a keras.Model, the path of a .keras file, or an exported model or its "
            f"path. Received: {type(model).__name__}. `build_unetv2` builds a model."
        )
    return load_exported(model) if is_artifact(model) else load_model(model)


class Predictor(ImagePredictor):
    """Predicts images, folders and videos with a model and one set of options.

    Images are preprocessed as in training, according to ``model.preprocessing``: resized as a
    whole, after which the logits are resized back, or tiled at the scale of the crops that the
    model was trained on. Its ``window`` and ``tta`` are the defaults of these options. For a model
    without preprocessing, images are resized to its input size, or used at their own size if that
    is open; the logger ``unetv2`` warns once.

    Tiles overlap and are averaged with weights that decrease towards their edges and sum to one.
    An image that is smaller than a tile is padded by reflection. Probabilities are averaged, over
    tiles, symmetries, scales and dropout samples.

    Args:
        model: A Keras model or the path of its ``.keras`` file; an :class:`~unetv2.ExportedModel`
            or the path of one.
        window: ``(height, width)`` of tiles at the image's original scale, or None for the sizes
            that are stored with the model: tiles of its ``window`` or ``crop_size``, or whole
            images, at the scale of the training.
        overlap: float in [0, 1). Minimum overlap of neighboring tiles as a fraction of a tile,
            rounded up to whole pixels.
        scale: float above 0, or None. Scale of the image, such as 0.5 for half its height and
            width, with or without ``window``.
        tta: bool, a sequence of ``"horizontal"``, ``"vertical"``, ``"transpose"`` and scales such
            as 1.25, or None for what is stored with the model. Test-time augmentation: each image
            or tile is also predicted flipped, with height and width exchanged, and resized, in all
            combinations; the first three together are all eight symmetries of a square. True is
            ``("horizontal",)``, False disables it.
        mc_samples: int, at least 0. Monte Carlo dropout: number of predictions with active
            dropout and all other layers in inference mode; 0 disables dropout.
        batch_size: int, at least 1. Maximum number of images or tiles in a batch; fewer if they
            are large.
        max_pixels: int, at least 1. Image files with more pixels are refused from their header;
            arrays and frames may have any size.
        seed: int, at least 0. Seed of dropout.

    Attributes:
        model: The loaded model.
        options: dict. The options that change a prediction, of JSON types. ``"tta"`` is what is
            used, also if it is stored with the model.

    Raises:
        FileNotFoundError: If the model's file does not exist.
        ValueError: If the model is not a segmentation model or does not support an option, or an
            argument is out of its range.
        TypeError: If an argument has the wrong type.

    Example:
        >>> model = unetv2.build_unetv2((None, None, 3), 5, filters=2, depth=2)
        >>> predictor = unetv2.Predictor(model, window=(32, 32), tta=True)
        >>> scenes = np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3), np.uint8)
        >>> [prediction.mask.shape for prediction in predictor.predict(list(scenes))]
        [(70, 90), (70, 90)]
    """

    def _loaded(self, model: Any) -> Any:
        return load(model)

    def predict_directory(
        self,
        images: PathLike | Sequence[PathLike],
        output_dir: PathLike,
        *,
        colors_dir: PathLike | None = None,
        overlays_dir: PathLike | None = None,
        uncertainty_dir: PathLike | None = None,
        overwrite: bool = False,
        shard: Sequence[int] | None = None,
        progress: bool = True,
    ) -> PredictedDirectory:
        """Predicts the images of a folder and its subfolders to a folder of masks.

        Each mask is a PNG of class ids with the size of its image and the same relative path: that
        of ``images/a/b.jpg`` is ``output_dir/a/b.png``. So the two folders are a data set for
        :func:`unetv2.make_dataset`. Images of the same input size are predicted in batches while
        the next ones are read.

        Every file is written atomically. Call it again after an interruption to predict the rest.
        An image is complete if all requested files exist. Each file stores the model, the options
        and the size of the image file, as the text ``unetv2`` of the PNG. Files of another model
        or of other options raise an error; an image whose file was replaced by one of another size
        is predicted again.

        Args:
            images: Folder of the images, or a list of files. Hidden files and files with other
                extensions in a folder are ignored.
            output_dir: Folder of the masks, outside ``images``; it is created.
            colors_dir: Folder of masks in the colors of the classes, RGB PNG, or None.
            overlays_dir: Folder of images blended with these colors, RGB PNG, or None.
            uncertainty_dir: Folder of the uncertainty, or None: 16-bit gray PNG, the entropy of
                the probabilities, scaled so that 65535 is its maximum ``log(n_classes)``.
            overwrite: bool. Whether complete images are predicted again and existing files are
                replaced.
            shard: ``(index, count)`` or None. Predicts every ``count``-th image, starting with
                number ``index``, in the order of the names, so that ``count`` workers predict
                disjoint parts.
            progress: bool. Whether a progress bar is shown on stderr.

        Returns:
            PredictedDirectory. Images that cannot be read are listed in ``failed`` and logged by
            ``unetv2``; the others are predicted.

        Raises:
            FileNotFoundError: If the folder or a file of a list does not exist.
            NotADirectoryError: If a folder is a file.
            ValueError: If there are no images; two images have the same name apart from the
                extension; a file would be written among the images or outside its folder; an
                existing file has another model, other options or another origin; or an argument is
                out of its range. Nothing is written then.
            TypeError: If an argument has the wrong type.
            OSError: If a file cannot be written; finished files are kept.
        """
        jobs = plan_jobs(images, output_dir, colors_dir, overlays_dir, uncertainty_dir, shard)
        return predict_jobs(self, jobs, overwrite=overwrite, progress=progress)

    def predict_video(
        self,
        path: PathLike,
        output: PathLike,
        *,
        opacity: float = 0.5,
        overwrite: bool = False,
        progress: bool = True,
    ) -> PredictedVideo:
        """Predicts a video to a video blended with the colors of the classes.

        Each frame is predicted by itself. The output is H.264 with the size, the frame rate and
        the times of the input, upright, without sound, and appears when it is complete. Needs the
        extra ``video``.

        Args:
            path: The video, of any format that FFmpeg reads.
            output: A ``.mp4``, ``.mkv`` or ``.mov`` file.
            opacity: float in [0, 1]. 0 shows the frames, 1 the colors.
            overwrite: bool. Whether an existing file is replaced.
            progress: bool. Whether a progress bar is shown on stderr.

        Returns:
            PredictedVideo. Contains measures of how much the classes flicker.

        Raises:
            ImportError: If PyAV is not installed.
            FileNotFoundError: If the video or the folder of ``output`` does not exist.
            ValueError: If the video is damaged, the model takes neither 1 nor 3 channels,
                ``output`` exists or has another format, or an argument is out of its range.
            OSError: If the video cannot be written; an existing file is unchanged.
        """
        job = plan_video(path, output, opacity, overwrite)
        return predict_video_job(self, job, progress=progress)


@overload
def predict(
    model: Model, image: PathLike | np.ndarray, *, uncertainty: bool | None = ...,
    probabilities: bool = ..., output: PathLike | None = ..., progress: bool = ...,
    **options: Unpack[PredictorOptions],
) -> Prediction: ...  # fmt: skip


@overload
def predict(
    model: Model, image: list[Any] | tuple[Any, ...], *, uncertainty: bool | None = ...,
    probabilities: bool = ..., output: PathLike | None = ..., progress: bool = ...,
    **options: Unpack[PredictorOptions],
) -> list[Prediction]: ...  # fmt: skip


def predict(
    model: Model,
    image: Any,
    *,
    uncertainty: bool | None = None,
    probabilities: bool = False,
    output: PathLike | None = None,
    progress: bool = False,
    **options: Unpack[PredictorOptions],
) -> Prediction | list[Prediction]:
    """Predicts the class of each pixel of an image, at the image's own size.

    The same as ``Predictor(model, **options).predict(image, ...)``. A model in a file is loaded on
    each call: to predict many images, make one :class:`~unetv2.Predictor`, or pass a list.

    Args:
        model: A Keras model or the path of its ``.keras`` file; an :class:`~unetv2.ExportedModel`
            or the path of one.
        image: The path of an image or ``.npy`` file; an array ``(height, width)`` or
            ``(height, width, channels)``, uint8, uint16 or float in [0, 1]; or a list of these.
        uncertainty: bool or None. Whether confidence and uncertainty are computed; None computes
            them unless ``output`` is given.
        probabilities: bool. Whether the probabilities of all classes are kept.
        output: A ``.npy``, ``.png`` or ``.tif`` file to which the mask is written, or None.
        progress: bool. Whether a progress bar is shown on stderr.
        **options: Options of :class:`unetv2.Predictor`: ``window``, ``overlap``, ``scale``,
            ``tta``, ``mc_samples``, ``batch_size``, ``max_pixels`` and ``seed``.

    Returns:
        Prediction, or a list of them for a list of images. Errors are those of the method.

    Example:
        >>> model = unetv2.build_unetv2((None, None, 3), 5, filters=2, depth=2)
        >>> scene = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
        >>> prediction = unetv2.predict(model, scene, window=(32, 32), tta=True)
        >>> prediction.mask.shape, bool(prediction.confidence.min() > 0.19)
        ((70, 90), True)
        >>> written = unetv2.predict(model, scene, window=(32, 32), output=tmp / "scene.png")
        >>> written.path.name, written.confidence
        ('scene.png', None)
    """
    return Predictor(model, **options).predict(
        image, uncertainty=uncertainty, probabilities=probabilities, output=output,
        progress=progress,
    )  # fmt: skip


def predict_directory(
    model: Model,
    images: PathLike | Sequence[PathLike],
    output_dir: PathLike,
    *,
    colors_dir: PathLike | None = None,
    overlays_dir: PathLike | None = None,
    uncertainty_dir: PathLike | None = None,
    overwrite: bool = False,
    shard: Sequence[int] | None = None,
    progress: bool = True,
    **options: Unpack[PredictorOptions],
) -> PredictedDirectory:
    """Predicts the images of a folder and its subfolders to a folder of masks.

    The same as :meth:`unetv2.Predictor.predict_directory`, which has the details. Paths are
    checked before the model is loaded.

    Args:
        model: A model or its path, as in :func:`unetv2.predict`.
        images: Folder of the images, or a list of files.
        output_dir: Folder of the masks, outside ``images``; it is created.
        colors_dir: Folder of masks in the colors of the classes, or None.
        overlays_dir: Folder of images blended with these colors, or None.
        uncertainty_dir: Folder of the uncertainty, or None.
        overwrite: bool. Whether existing files are replaced.
        shard: ``(index, count)`` or None. Predicts every ``count``-th image.
        progress: bool. Whether a progress bar is shown on stderr.
        **options: Options of :class:`unetv2.Predictor`, such as ``window`` and ``tta``.

    Returns:
        PredictedDirectory.

    Example:
        >>> model = unetv2.build_unetv2((48, 64, 3), 23, filters=2, depth=2)
        >>> images, _ = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "folder", 3, image_size=(96, 128))
        >>> result = unetv2.predict_directory(model, images, tmp / "predicted", progress=False)
        >>> [path.name for path in result.written]
        ['000000.png', '000001.png', '000002.png']
        >>> again = unetv2.predict_directory(model, images, tmp / "predicted", progress=False)
        >>> len(again.written), len(again.skipped)
        (0, 3)
    """
    jobs = plan_jobs(images, output_dir, colors_dir, overlays_dir, uncertainty_dir, shard)
    return predict_jobs(Predictor(model, **options), jobs, overwrite=overwrite, progress=progress)


def predict_video(
    model: Model,
    path: PathLike,
    output: PathLike,
    *,
    opacity: float = 0.5,
    overwrite: bool = False,
    progress: bool = True,
    **options: Unpack[PredictorOptions],
) -> PredictedVideo:
    """Predicts a video to a video blended with the colors of the classes.

    The same as :meth:`unetv2.Predictor.predict_video`, which has the details. Paths are checked
    before the model is loaded. Needs the extra ``video``.

    Args:
        model: A model for 1 or 3 channels or its path, as in :func:`unetv2.predict`.
        path: The video, of any format that FFmpeg reads.
        output: A ``.mp4``, ``.mkv`` or ``.mov`` file.
        opacity: float in [0, 1]. 0 shows the frames, 1 the colors.
        overwrite: bool. Whether an existing file is replaced.
        progress: bool. Whether a progress bar is shown on stderr.
        **options: Options of :class:`unetv2.Predictor`, such as ``window`` and ``tta``.

    Returns:
        PredictedVideo.

    Example:
        >>> import av
        >>> with av.open(str(tmp / "drive.mp4"), "w") as container:
        ...     stream = container.add_stream("libx264", rate=10)
        ...     stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        ...     for number in range(4):
        ...         scene, _ = unetv2.synthetic.driving_scene(number, image_size=(48, 64))
        ...         frame = av.VideoFrame.from_ndarray(scene[..., :3].copy(), format="rgb24")
        ...         container.mux(stream.encode(frame))
        ...     container.mux(stream.encode())
        >>> model = unetv2.build_unetv2((48, 64, 3), 23, filters=2, depth=2)
        >>> result = unetv2.predict_video(
        ...     model, tmp / "drive.mp4", tmp / "classes.mp4", progress=False)
        >>> result.frames, result.size, result.frame_rate
        (4, (48, 64), 10.0)
    """
    job = plan_video(path, output, opacity, overwrite)
    return predict_video_job(Predictor(model, **options), job, progress=progress)
