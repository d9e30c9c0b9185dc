"""Two convolutional networks of the articles.

The first runs as printed but for where its digits come from, and how many they are. The second was wrong as printed: its input has 3 axes beside the
batch's where an image has height, width and channels; labels for a sparse loss are whole numbers, one for each example; and
a softmax is followed by a loss with `from_logits=True`, which would apply it again.
"""

import numpy as np
from sklearn.datasets import load_digits

import twinflow as tf_core
from twinflow import keras, tf
from twinflow.keras.layers import Conv2D, Dense, Flatten, MaxPooling2D
from twinflow.keras.models import Sequential

keras.utils.set_random_seed(0)

# scikit-learn's 1,797 digits, 8 x 8 pixels, enlarged to MNIST's 28 x 28 (`keras.datasets.mnist.load_data()` gives MNIST itself)
digits = load_digits()
small = tf_core.from_numpy(digits.images).float().unsqueeze(1) / 16
images = np.asarray(tf_core.nn.functional.interpolate(small, size=(28, 28), mode="bilinear"))
X_train, Y_train = images[:640], digits.target[:640]
X_test, Y_test = images[640:1000], digits.target[640:1000]
X_train = X_train.reshape(-1, 28, 28, 1)
X_test = X_test.reshape(-1, 28, 28, 1)

# 定义模型
model = Sequential(
    [
        Conv2D(32, kernel_size=(3, 3), activation="relu", input_shape=(28, 28, 1)),
        MaxPooling2D(pool_size=(2, 2)),
        Flatten(),
        Dense(128, activation="relu"),
        Dense(10, activation="softmax"),
    ]
)

# 编译模型
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

# 训练模型
model.fit(X_train, Y_train, epochs=2, batch_size=64)

# 评估模型
test_loss, test_acc = model.evaluate(X_test, Y_test)
print(f"Test accuracy: {test_acc}")

# 生成数据
x = np.random.normal(0, 1, (32, 32, 32, 3))
y = np.random.randint(0, 32, 32)

# 定义模型
second = tf.keras.Sequential(
    [
        tf.keras.layers.Conv2D(32, (3, 3), activation="relu", input_shape=(32, 32, 3)),
        tf.keras.layers.MaxPooling2D((2, 2)),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(32),
    ]
)

# 定义损失函数
loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# 定义优化器
optimizer = tf.keras.optimizers.Adam(learning_rate=0.001)

# 训练模型
second.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
history = second.fit(x, y, epochs=3, verbose=0)
print("corrected:", history.history["loss"][0], history.history["loss"][-1])
