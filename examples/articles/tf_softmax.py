"""Softmax regression on digits in a session. The program was right; only `mnist` was never defined, and stands at the top now.

The article's `tf.log` of a softmax is -inf once a probability is 0; `tf.nn.softmax_cross_entropy_with_logits` has no such limit.
"""

from types import SimpleNamespace

import numpy as np
from sklearn.datasets import load_digits

import twinflow
from twinflow.tf.compat import v1 as tf

# The 1,797 digits of scikit-learn, enlarged to 28 x 28 pixels, in the form of the tutorials' `mnist`
digits = load_digits()
images = twinflow.from_numpy(digits.images).float().unsqueeze(1) / 16
images = twinflow.nn.functional.interpolate(images, size=(28, 28), mode="bilinear").flatten(1).numpy()
labels = np.eye(10, dtype=np.float32)[digits.target]


class Part:
    def __init__(self, images, labels):
        self.images, self.labels, self._at = images, labels, 0

    def next_batch(self, n):
        rows = np.arange(self._at, self._at + n) % len(self.images)
        self._at += n
        return self.images[rows], self.labels[rows]


mnist = SimpleNamespace(train=Part(images[:1500], labels[:1500]), test=Part(images[1500:], labels[1500:]))

# 定义输入和输出
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])

# 定义模型
W = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
y_ = tf.nn.softmax(tf.matmul(x, W) + b)

# 定义损失函数
cross_entropy = tf.reduce_mean(-tf.reduce_sum(y * tf.log(y_), reduction_indices=[1]))

# 定义优化器
train_step = tf.train.GradientDescentOptimizer(0.5).minimize(cross_entropy)

# 创建会话
sess = tf.Session()

# 初始化变量
sess.run(tf.global_variables_initializer())

# 训练模型
for _ in range(1000):
    batch_xs, batch_ys = mnist.train.next_batch(100)
    sess.run(train_step, feed_dict={x: batch_xs, y: batch_ys})

# 评估模型
correct_prediction = tf.equal(tf.argmax(y_, 1), tf.argmax(y, 1))
accuracy = tf.reduce_mean(tf.cast(correct_prediction, tf.float32))
print(sess.run(accuracy, feed_dict={x: mnist.test.images, y: mnist.test.labels}))
