"""Both passes say the same of paths that meet or part above an upsampling."""

import pytest
from needed import needed

import receptive_field as rf

keras = needed("keras")
layers = keras.layers


def model(build):
    image = keras.Input((None, 1))
    return keras.Model(image, layers.Add(name="sum")(build(image)))


def convolution(kernel, stride=1):
    return layers.Conv1D(1, kernel, strides=stride, padding="same")


def above_an_upsampling(image):
    raised = layers.UpSampling1D(2)(image)
    return [raised, convolution(3)(raised)]


def below_an_upsampling(image):
    raised = layers.UpSampling1D(2)(image)
    every_second = layers.UpSampling1D(2)(layers.MaxPooling1D(1, 2)(raised))
    return [layers.MaxPooling1D(2)(raised), layers.MaxPooling1D(2)(every_second)]


@pytest.mark.parametrize(
    ("build", "aligned", "size"),
    [
        # Feature 0 sees position 0 by one path, -1 and 0 by the other.
        (above_an_upsampling, False, 2),
        # Of two positions that are copies, one path sees both, the other the first.
        (below_an_upsampling, True, 1),
        # At every size, kernels of 3 and 5 have their centres in one place.
        (lambda x: [convolution(3, 2)(x), convolution(5, 2)(x)], True, 5),
        # At sizes of 17, 21, ... positions -1 to 3 are seen. An odd kernel and one of 4
        # never have their centres in one place.
        (
            lambda x: [convolution(3, 4)(x), convolution(2, 2)(convolution(2, 2)(x))],
            False,
            5,
        ),
        # Of even sizes, the shorter map is padded by 1 in front, of odd ones the other.
        (
            lambda x: [convolution(3, 2)(x)[:, :8], convolution(3, 2)(x[:, 1:])[:, :8]],
            None,
            5,
        ),
        # There are too many remainders to look at each. At 301, 601, ... the first map
        # is padded by 1 in front. At 302 to 599, 602 to 899, ... neither map is padded.
        (
            lambda x: [
                convolution(3, 300)(x),
                convolution(3, 300)(layers.ZeroPadding1D((0, 1))(x)),
            ],
            None,
            4,
        ),
    ],
)
def test_of_any_size(build, aligned, size):
    network = model(build)
    for field in (
        rf.compute_receptive_field(network),
        rf.compute_receptive_fields(network)["sum"],
    ):
        assert field.aligned is aligned
        assert field.size.tolist() == [size]
