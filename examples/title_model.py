"""The text classifier: hashed words, their mean embedding, and two dense layers.

    python -m examples.title_model FOLDER

trains it and writes the SavedModel to FOLDER. This module imports TensorFlow, so ``train_classifier`` runs it in a
separate process, and only if the model has to be trained.
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


class TitleModel(tf.Module):  # type: ignore[misc]  # TensorFlow has no types.
    """Predicts the publisher of a title."""

    def __init__(self, classes: int) -> None:
        """Create the variables of a model for ``classes`` publishers."""
        super().__init__(name="title_model")
        initial = tf.keras.initializers.GlorotUniform(seed=SEED)
        self.embedding = tf.Variable(initial((WORD_BUCKETS, EMBEDDING_SIZE)), name="embedding/embeddings")
        self.hidden_kernel = tf.Variable(initial((EMBEDDING_SIZE, HIDDEN_SIZE)), name="dense/kernel")
        self.hidden_bias = tf.Variable(tf.zeros(HIDDEN_SIZE), name="dense/bias")
        self.output_kernel = tf.Variable(initial((HIDDEN_SIZE, classes)), name="dense_1/kernel")
        self.output_bias = tf.Variable(tf.zeros(classes), name="dense_1/bias")

    def logits(self, titles: tf.Tensor) -> tf.Tensor:
        """Return the logits, of shape [titles, classes], for a string tensor of titles."""
        # A colon or a slash is as informative as a word, so each is treated as a word.
        spaced = tf.strings.regex_replace(tf.strings.lower(titles), "([[:punct:]])", r" \1 ")
        words = tf.strings.split(spaced)
        buckets = tf.strings.to_hash_bucket_fast(words.flat_values, WORD_BUCKETS)
        vectors = tf.gather(self.embedding, buckets)
        total = tf.math.unsorted_segment_sum(vectors, words.value_rowids(), words.nrows())
        # A title without words has no mean; it gets the zero vector.
        count = tf.cast(tf.maximum(words.row_lengths(), 1), tf.float32)
        hidden = tf.nn.relu(total / count[:, tf.newaxis] @ self.hidden_kernel + self.hidden_bias)
        return hidden @ self.output_kernel + self.output_bias

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="input")])  # type: ignore[untyped-decorator]
    def serve(self, input: tf.Tensor) -> dict[str, tf.Tensor]:  # noqa: A002 - the signature's input has this name
        """Return the probabilities of the classes for each title as ``dense_1``, of shape [titles, classes]."""
        return {"dense_1": tf.nn.softmax(self.logits(input))}

    def save(self, folder: Path) -> None:
        """Write the model to ``folder`` as a SavedModel with the signature ``serving_default``."""
        tf.saved_model.save(self, str(folder), signatures={"serving_default": self.serve})


def train(labelled_titles: Sequence[tuple[str, int]], *, classes: int) -> TitleModel:
    """Return a model trained on (title, class) pairs. On one machine, the same pairs give the same model."""
    model = TitleModel(classes)
    optimizer = tf.keras.optimizers.Adam(LEARNING_RATE)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
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
