"""A linear regression as a graph, corrected: as printed, the weight had one axis, which `tf.matmul` does not take, and
`X_train` and `y_train` were never defined.
"""

import numpy as np

from twinflow.tf.compat import v1 as tf

np.random.seed(0)
tf.set_random_seed(0)
X_train = np.random.rand(100, 1)
y_train = 3 * X_train + 2 + np.random.normal(0, 0.1, (100, 1))

# 构建计算图
X = tf.placeholder(tf.float32, shape=[None, 1], name="X")
Y = tf.placeholder(tf.float32, shape=[None, 1], name="Y")

W = tf.Variable(tf.random_normal([1, 1]), name="weight")
b = tf.Variable(tf.zeros([1]), name="bias")

y_pred = tf.matmul(X, W) + b

loss = tf.reduce_mean(tf.square(Y - y_pred))
optimizer = tf.train.GradientDescentOptimizer(0.1).minimize(loss)

# 训练模型
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    for epoch in range(1000):
        _, current_loss = sess.run([optimizer, loss], feed_dict={X: X_train, Y: y_train})
        if epoch % 100 == 0:
            print(f"Epoch {epoch}, Loss: {current_loss}")

    W_val, b_val = sess.run([W, b])
    print(f"Weight: {W_val}, Bias: {b_val}")
