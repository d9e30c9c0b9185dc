"""A generative adversarial network, corrected. As printed it was wrong in five places:

* the generator was called outside the tapes, so that no gradient reached it;
* the discriminator never saw a real image, although MNIST was imported;
* the losses were those of neither player: the discriminator wants log D(real) + log(1 - D(fake)) large, the generator log D(fake);
* each step drew one image, and neither model was told that it was training, so batch normalisation did nothing;
* a hundred images of 784 pixels were reshaped to 7 x 7.

The two middle layers of the generator, 12,544 units each as printed, are one of 196 here.
"""

import numpy as np
from sklearn.datasets import load_digits

import twinflow
from twinflow import tf
from twinflow.keras.layers import BatchNormalization, Dense
from twinflow.keras.models import Sequential

tf.random.set_seed(0)
np.random.seed(0)
STEPS = 30

# The digits of scikit-learn, enlarged to 28 x 28 pixels in [-1, 1], as tanh gives them
digits = twinflow.from_numpy(load_digits().images).float().unsqueeze(1) / 8 - 1
real_images = twinflow.nn.functional.interpolate(digits, size=(28, 28), mode="bilinear").flatten(1).numpy()

# 生成随机数据
z = tf.random.normal([100, 100])

# 定义生成器
generator = Sequential([
    Dense(128, input_dim=100, activation='relu'),
    BatchNormalization(),
    Dense(7 * 7 * 256 // 64, activation='relu'),
    BatchNormalization(),
    Dense(784, activation='tanh')
])  # fmt: skip

# 定义判别器
discriminator = Sequential([
    Dense(128, input_dim=784, activation='relu'),
    BatchNormalization(),
    Dense(128, activation='relu'),
    BatchNormalization(),
    Dense(1, activation='sigmoid')
])  # fmt: skip

# 编译模型
generator_optimizer = tf.keras.optimizers.Adam(learning_rate=0.0002, beta_1=0.5)
discriminator_optimizer = tf.keras.optimizers.Adam(learning_rate=0.0002, beta_1=0.5)

# 训练模型
for i in range(STEPS):
    noise = tf.random.normal([64, 100])
    real = tf.constant(real_images[np.random.randint(0, len(real_images), 64)])
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        img = generator(noise, training=True)
        fake_output = discriminator(img, training=True)
        real_output = discriminator(real, training=True)
        gen_loss = -tf.reduce_mean(tf.math.log(fake_output + 1e-7))
        disc_loss = -tf.reduce_mean(tf.math.log(real_output + 1e-7) + tf.math.log(1 - fake_output + 1e-7))
    gradients_of_gen = gen_tape.gradient(gen_loss, generator.trainable_variables)
    gradients_of_disc = disc_tape.gradient(disc_loss, discriminator.trainable_variables)
    generator_optimizer.apply_gradients(zip(gradients_of_gen, generator.trainable_variables))
    discriminator_optimizer.apply_gradients(zip(gradients_of_disc, discriminator.trainable_variables))
    if i % 10 == 0:
        print(f"step {i}: generator {float(gen_loss):.3f}, discriminator {float(disc_loss):.3f}")

# 生成图像
generated_img = tf.reshape(generator(z), [100, 28, 28])
print(generated_img.shape, float(tf.reduce_mean(real_output)), float(tf.reduce_mean(fake_output)))
