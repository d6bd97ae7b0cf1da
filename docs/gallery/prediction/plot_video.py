"""
Video prediction
================

:func:`unetv2.predict_video` predicts a video frame by frame and measures how much the classes
flicker. This example creates a video that pans over a wide scene. Your own video can have any
format that FFmpeg reads. This requires ``pip install "unetv2[video]"``.
"""

import tempfile
from pathlib import Path

import av
import keras
import matplotlib.pyplot as plt

import unetv2

keras.utils.set_random_seed(0)
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)

wide, _ = unetv2.synthetic.driving_scene(12, image_size=(96, 256), seed=1)
with av.open(str(folder / "pan.mp4"), "w") as film:
    stream = film.add_stream("libx264", rate=12)
    stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
    for left in range(0, 128, 8):
        frame = av.VideoFrame.from_ndarray(wide[:, left : left + 128].copy(), format="rgb24")
        film.mux(stream.encode(frame))
    film.mux(stream.encode())

# %%
# Train a network for a few seconds:

folders = unetv2.synthetic.write_driving_scenes(folder / "scenes", 120, image_size=(96, 128))
train = unetv2.make_dataset(*folders, classes=unetv2.CARLA, image_size=(48, 64), batch_size=8)
model = unetv2.build_unetv2((48, 64, 3), 23, filters=12, depth=2, seed=0)
model.optimizer.learning_rate = 2e-3
model.fit(train, epochs=8, shuffle=False, verbose=0)

result = unetv2.predict_video(model, folder / "pan.mp4", folder / "classes.mp4", progress=False)
print(f"{result.frames} frames of {result.size}, {result.blinking:.2%} blinking")

# %%
# Frames of the output
# --------------------

with av.open(str(folder / "classes.mp4")) as film:
    frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
figure, panels = plt.subplots(1, 4, figsize=(10, 2.1), layout="constrained")
for panel, number in zip(panels, (0, 5, 10, 15), strict=True):
    panel.imshow(frames[number])
    panel.set_title(f"frame {number}")
    panel.set_axis_off()
