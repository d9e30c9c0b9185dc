"""An article's linear regression as a subclass of Model; only the import was changed, and a seed and the last line were added."""

from twinflow import keras, tf

keras.utils.set_random_seed(0)


# 创建一个线性回归模型
class LinearRegressionModel(tf.keras.Model):
    def __init__(self):
        super(LinearRegressionModel, self).__init__()
        self.dense = tf.keras.layers.Dense(1, input_shape=(1,))

    def call(self, inputs):
        return self.dense(inputs)


# 创建一个数据集
x = tf.random.normal([100, 1])
y = 2 * x + 1 + tf.random.normal([100, 1])

# 创建一个模型
model = LinearRegressionModel()

# 编译模型
model.compile(optimizer=tf.keras.optimizers.SGD(learning_rate=0.1), loss=tf.keras.losses.MeanSquaredError())

# 训练模型
history = model.fit(x, y, epochs=100, verbose=0)

# 预测
y_pred = model.predict(x)
print("linear:", history.history["loss"][-1], y_pred.shape)
