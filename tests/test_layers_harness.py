"""The blocks in the layer tests of Keras."""

from __future__ import annotations

import pytest
from keras.src import testing

import unetv2
from unetv2.models.resizing import CropToSize, Enlarge, PadToMultiple

NORMALIZATIONS = (None, "batch", "group")


# The harness feeds a generator without saying that it shall not be shuffled.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
class TestTheBlocksPassKerassOwnHarness(testing.TestCase):
    def test_convolution_block(self) -> None:
        for normalization in NORMALIZATIONS:
            self.run_layer_test(
                unetv2.ConvolutionBlock,
                {"filters": 4, "normalization": normalization, "activation": "gelu"},
                input_shape=(2, 9, 6, 3),
                expected_output_shape=(2, 9, 6, 4),
                expected_num_seed_generators=0,
            )

    def test_encoder_block(self) -> None:
        for normalization in NORMALIZATIONS:
            self.run_layer_test(
                unetv2.EncoderBlock,
                {"filters": 4, "dropout": 0.3, "normalization": normalization, "seed": 1},
                input_shape=(2, 9, 6, 3),
                expected_output_shape=((2, 5, 3, 4), (2, 9, 6, 4)),
                expected_num_trainable_weights=4 if normalization is None else 6,
                expected_num_non_trainable_weights=4 if normalization == "batch" else 0,
                expected_num_seed_generators=1,
            )

    def test_decoder_block(self) -> None:
        for normalization in NORMALIZATIONS:
            self.run_layer_test(
                unetv2.DecoderBlock,
                {"filters": 4, "normalization": normalization},
                input_shape={"inputs_shape": (2, 5, 3, 6), "skip_shape": (2, 9, 6, 3)},
                expected_output_shape=(2, 9, 6, 4),
                expected_num_trainable_weights=6 if normalization is None else 8,
                # The harness trains layers of one argument only, as Keras's own tests of
                # MultiHeadAttention note too; the fit step is tested below.
                run_training_check=False,
            )

    def test_encoder_block_with_all_options(self) -> None:
        self.run_layer_test(
            unetv2.EncoderBlock,
            {"filters": 4, "dropout": 0.3, "residual": True},
            input_shape=(2, 9, 6, 3),
            expected_output_shape=((2, 5, 3, 4), (2, 9, 6, 4)),
            # Two convolutions, a projection without bias.
            expected_num_trainable_weights=4 + 1,
            expected_num_seed_generators=1,
        )

    def test_decoder_block_with_all_options(self) -> None:
        self.run_layer_test(
            unetv2.DecoderBlock,
            {"filters": 4, "upsampling": "bilinear", "residual": True},
            input_shape={"inputs_shape": (2, 5, 3, 6), "skip_shape": (2, 9, 6, 3)},
            expected_output_shape=(2, 9, 6, 4),
            # As above, and the upsampling's.
            expected_num_trainable_weights=4 + 1 + 2,
            run_training_check=False,
        )

    def test_sizes(self) -> None:
        self.run_layer_test(
            CropToSize,
            {},
            input_shape={"inputs_shape": (2, 9, 6, 3), "like_shape": (2, 7, 6, 1)},
            expected_output_shape=(2, 7, 6, 3),
            run_training_check=False,
        )
        self.run_layer_test(
            PadToMultiple,
            {"multiple": 4},
            input_shape=(2, 9, 8, 3),
            expected_output_shape=(2, 12, 8, 3),
            # There is nothing to train.
            run_training_check=False,
        )
        self.run_layer_test(
            Enlarge,
            {},
            input_shape=(2, 9, 8, 3),
            expected_output_shape=(2, 18, 16, 3),
            run_training_check=False,
        )
