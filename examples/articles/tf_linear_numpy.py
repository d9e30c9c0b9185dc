"""A linear regression in a session, corrected. As printed it was wrong in four places:

* the keys of `feed_dict` were the data themselves: keys are placeholders, values the arrays;
* the optimizer itself was fetched: what is fetched is the step that `minimize` makes;
* `W` and `b` were read after the `with` block had closed the session;
* each of 1,000 rounds opened a session and forgot what the one before had learned.
"""

import numpy as np

from twinflow.tf.compat import v1 as tf

np.random.seed(0)

# 生成数据
x_data = np.linspace(-1, 1, 100)
y_data = 2 * x_data + 1 + np.random.normal(0, 0.1, 100)

# 定义模型
x = tf.placeholder(tf.float32, [None])
y = tf.placeholder(tf.float32, [None])
W = tf.Variable(0.1, dtype=tf.float32)
b = tf.Variable(0.1, dtype=tf.float32)
y_pred = W * x + b

# 定义损失函数
loss = tf.reduce_mean(tf.square(y - y_pred))

# 定义优化器
optimizer = tf.train.GradientDescentOptimizer(learning_rate=0.01)
train_op = optimizer.minimize(loss)

# 训练模型
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for i in range(10):
        for j in range(100):
            sess.run(train_op, feed_dict={x: x_data, y: y_data})
            if j % 10 == 0:
                current_loss = sess.run(loss, feed_dict={x: x_data, y: y_data})
                print("Epoch:", i, "Step:", j, "Loss:", current_loss)

    # 输出结果
    W_val, b_val = sess.run([W, b])
    print("W:", W_val)
    print("b:", b_val)
