"""Three articles' regressions, with only the import changed where they were right.

The logistic regression was wrong as printed: its targets were `1 * (X > 0.5) + rand`, outside [0, 1], which BinaryCrossentropy refuses;
here they are the labels alone. Predictions of the first are made with `verbose=0`.
"""

import numpy as np

from twinflow import tf

tf.random.set_seed(0)
np.random.seed(0)


class LinearRegressionModel(tf.keras.Model):
    def __init__(self):
        super(LinearRegressionModel, self).__init__()
        self.dense = tf.keras.layers.Dense(1, input_shape=(1,))

    def call(self, inputs):
        return self.dense(inputs)


x = tf.random.normal([100, 1])
y = 2 * x + 1 + tf.random.normal([100, 1])
model = LinearRegressionModel()
model.compile(optimizer=tf.keras.optimizers.SGD(learning_rate=0.1), loss=tf.keras.losses.MeanSquaredError())
history = model.fit(x, y, epochs=100, verbose=0)
y_pred = model.predict(x, verbose=0)
print("fit:", history.history["loss"][-1], model.get_weights())


class Regression(tf.keras.Model):
    def __init__(self, logistic):
        super().__init__()
        self.W = tf.Variable(tf.random.normal([1]))
        self.b = tf.Variable(tf.zeros([1]))
        self.logistic = logistic

    def call(self, x):
        z = self.W * x + self.b
        return 1 / (1 + tf.exp(-z)) if self.logistic else z


X = np.random.rand(100, 1)
for logistic, Y in ((False, 3 * X + 2 + np.random.rand(100, 1)), (True, 1.0 * (X > 0.5))):
    model = Regression(logistic)
    loss = tf.keras.losses.BinaryCrossentropy() if logistic else tf.keras.losses.MeanSquaredError()
    optimizer = tf.keras.optimizers.SGD(learning_rate=0.1)
    first = float(loss(Y, model(X)))
    for _ in range(300):
        with tf.GradientTape() as tape:
            predictions = model(X)
            loss_value = loss(Y, predictions)
        gradients = tape.gradient(loss_value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    print("tape:", first, "->", float(loss_value), model(np.array([[0.5]])))
