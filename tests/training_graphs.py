"""Graphs of TensorFlow 1 that train a network, and one that reads a sound."""

import tensorflow as tf
from tensorflow.python.ops import gen_audio_ops

v1 = tf.compat.v1


def graph_def_of(build):
    """The GraphDef of what a function builds."""
    graph = tf.Graph()
    with graph.as_default():
        build()
    return graph.as_graph_def()


def convolution(name, below, count):
    weights = v1.get_variable(f"{name}/w", [5, 5, below.shape[-1], count])
    return tf.nn.relu(tf.nn.conv2d(below, weights, 1, "SAME", name=name))


def dense(name, below, count):
    weights = v1.get_variable(f"{name}/w", [below.shape[-1], count])
    bias = v1.get_variable(f"{name}/b", [count])
    return tf.add(tf.matmul(below, weights), bias, name=name)


def train(loss):
    rate = v1.placeholder(tf.float32, [], name="learning_rate")
    v1.summary.scalar("loss", loss)
    v1.train.AdamOptimizer(rate).minimize(loss)
    v1.train.Saver()


def features(image):
    """The features of two layers, with pooling: 7 x 7 for images of 28 x 28."""
    one = tf.nn.max_pool2d(convolution("conv1", image, 4), 2, 2, "SAME", name="pool1")
    two = convolution("conv2", one, 4)
    return tf.nn.max_pool2d(two, 2, 2, "SAME", name="pool2")


def scores(image):
    flat = tf.reshape(features(image), [-1, 7 * 7 * 4])
    keep = v1.placeholder(tf.float32, name="keep_prob")
    v1.placeholder(tf.bool, [], name="is_training")
    hidden = v1.nn.dropout(tf.nn.relu(dense("hidden", flat, 8)), rate=1 - keep)
    return dense("logits", hidden, 10)


def classifier(flattened=False):
    """The classifier of a tutorial: a loss, an accuracy, an optimizer."""
    if flattened:
        pixels = v1.placeholder(tf.float32, [None, 784], name="pixels")
        image = tf.reshape(pixels, [-1, 28, 28, 1], name="image")
    else:
        image = v1.placeholder(tf.float32, [None, 28, 28, 1], name="image")
    labels = v1.placeholder(tf.float32, [None, 10], name="labels")
    logits = scores(image)
    loss = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    right = tf.equal(tf.argmax(logits, 1), tf.argmax(labels, 1))
    tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")
    train(tf.reduce_mean(loss))


def segmentation():
    """A network whose labels are an image, too."""
    image = v1.placeholder(tf.float32, [None, 28, 28, 1], name="image")
    mask = v1.placeholder(tf.float32, [None, 28, 28, 1], name="mask")
    found = convolution("last", convolution("first", image, 4), 1)
    predicted = tf.identity(found, name="predicted")
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=mask, logits=predicted)
    train(tf.reduce_mean(loss))


def classes_of_pixels(flattened=False):
    """A network whose loss reads the classes of all pixels as one list."""
    image = v1.placeholder(tf.float32, [None, 28, 28, 1], name="image")
    kinds = v1.placeholder(tf.int32, [None, 28, 28], name="kinds")
    logits = convolution("last", convolution("first", image, 4), 3)
    logits = tf.identity(logits, name="logits")
    if flattened:
        logits, kinds = tf.reshape(logits, [-1, 3]), tf.reshape(kinds, [-1])
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=kinds, logits=logits)
    train(tf.reduce_mean(loss))


def classes_of_images():
    """A classifier whose last map has one position, which is left out for the loss."""
    image = v1.placeholder(tf.float32, [None, 28, 28, 1], name="image")
    kinds = v1.placeholder(tf.int32, [None], name="kinds")
    means = tf.reduce_mean(convolution("only", image, 3), [1, 2], keepdims=True)
    logits = tf.reshape(means, [-1, 3], name="logits")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=kinds, logits=logits)
    train(tf.reduce_mean(loss))


def two_heads():
    """A network with two losses, which read two predictions."""
    image = v1.placeholder(tf.float32, [None, 28, 28, 1], name="image")
    kinds = v1.placeholder(tf.int32, [None], name="kinds")
    boxes = v1.placeholder(tf.float32, [None, 4], name="boxes")
    pooled = tf.reduce_mean(features(image), [1, 2])
    kind, box = dense("kind", pooled, 10), dense("box", pooled, 4)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=kinds, logits=kind)
    train(tf.reduce_mean(loss) + tf.reduce_mean(tf.square(box - boxes)))


def two_images():
    """A network that reads two images."""
    one = v1.placeholder(tf.float32, [None, 28, 28, 1], name="one")
    two = v1.placeholder(tf.float32, [None, None, 28, 3], name="two")
    first, second = convolution("first", one, 4), convolution("second", two, 4)
    tf.concat([first, second], -1, name="both")


def spoken_words():
    """A network that reads a sound in a file."""
    file = v1.placeholder(tf.string, [], name="wav_data")
    sound = tf.audio.decode_wav(file, desired_channels=1, desired_samples=16000)
    spectrogram = gen_audio_ops.audio_spectrogram(
        sound.audio, window_size=480, stride=160, name="spectrogram"
    )
    found = gen_audio_ops.mfcc(
        spectrogram, sound.sample_rate, dct_coefficient_count=40, name="mfcc"
    )
    image = tf.reshape(found, [-1, 98, 40, 1], name="image")
    tf.nn.max_pool2d(convolution("conv", image, 4), 2, 2, "SAME", name="pool")
