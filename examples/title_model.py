"""The text classifier itself: hashed words, their mean embedding, and two dense layers.

    python -m examples.title_model FOLDER

trains it and writes the SavedModel to FOLDER. Imports TensorFlow: ``train_classifier`` runs this in a process of its
own, and only when there is something to train.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from examples.train_classifier import publishers, read_titles

WORD_BUCKETS = 4096
EMBEDDING_SIZE = 16
HIDDEN_SIZE = 16
EPOCHS = 10
BATCH_SIZE = 64
LEARNING_RATE = 0.01
SEED = 1


class TitleModel(tf.Module):
    """Tells which of several publishers a title is by."""

    def __init__(self, classes: int) -> None:
        super().__init__(name="title_model")
        initial = tf.keras.initializers.GlorotUniform(seed=SEED)
        self.embedding = tf.Variable(initial((WORD_BUCKETS, EMBEDDING_SIZE)), name="embedding/embeddings")
        self.hidden_kernel = tf.Variable(initial((EMBEDDING_SIZE, HIDDEN_SIZE)), name="dense/kernel")
        self.hidden_bias = tf.Variable(tf.zeros(HIDDEN_SIZE), name="dense/bias")
        self.output_kernel = tf.Variable(initial((HIDDEN_SIZE, classes)), name="dense_1/kernel")
        self.output_bias = tf.Variable(tf.zeros(classes), name="dense_1/bias")

    def logits(self, titles: tf.Tensor) -> tf.Tensor:
        """Return the unscaled scores, of shape [titles, classes], of a string tensor of titles."""
        # A colon or a slash tells as much as a word, so each becomes one.
        spaced = tf.strings.regex_replace(tf.strings.lower(titles), "([[:punct:]])", r" \1 ")
        words = tf.strings.split(spaced)
        buckets = tf.strings.to_hash_bucket_fast(words.flat_values, WORD_BUCKETS)
        vectors = tf.gather(self.embedding, buckets)
        total = tf.math.unsorted_segment_sum(vectors, words.value_rowids(), words.nrows())
        # A title without any word has no mean, and gets the zero vector.
        count = tf.cast(tf.maximum(words.row_lengths(), 1), tf.float32)
        hidden = tf.nn.relu(total / count[:, tf.newaxis] @ self.hidden_kernel + self.hidden_bias)
        return hidden @ self.output_kernel + self.output_bias

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="input")])
    def serve(self, input: tf.Tensor) -> dict[str, tf.Tensor]:  # noqa: A002 - the signature's input has this name
        """Return the probabilities of each title's classes as ``dense_1``."""
        return {"dense_1": tf.nn.softmax(self.logits(input))}

    def save(self, folder: Path) -> None:
        """Write the model to ``folder`` as a SavedModel with the one signature ``serving_default``."""
        tf.saved_model.save(self, str(folder), signatures={"serving_default": self.serve})


def train(labelled_titles: Sequence[tuple[str, int]], *, classes: int) -> TitleModel:
    """Return a model trained on (title, class) pairs; the same pairs give the same model on one machine."""
    model = TitleModel(classes)
    optimizer = tf.keras.optimizers.Adam(LEARNING_RATE)

    @tf.function(reduce_retracing=True)
    def improve(titles: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model.logits(titles))
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for titles, labels in _batches(labelled_titles):
        improve(tf.constant(titles), tf.constant(labels))
    return model


def _batches(labelled_titles: Sequence[tuple[str, int]]) -> Iterator[tuple[list[str], list[int]]]:
    shuffler = np.random.default_rng(SEED)
    for _ in range(EPOCHS):
        order = shuffler.permutation(len(labelled_titles))
        for start in range(0, len(order), BATCH_SIZE):
            chosen = [labelled_titles[position] for position in order[start : start + BATCH_SIZE]]
            yield [title for title, _ in chosen], [label for _, label in chosen]


if __name__ == "__main__":
    classes = publishers()
    train([(title, classes.index(name)) for title, name in read_titles("train")], classes=len(classes)).save(
        Path(sys.argv[1])
    )
