"""An article's LSTM, and its LSTM with attention.

The second was wrong as printed: `Attention` stood in a Sequential model, which gives it one tensor where it takes [query, value], behind an
LSTM that returned only its last output, and it has no argument `attention_activation`. Here it is a functional model.
"""

import numpy as np

from twinflow import keras
from twinflow.keras.layers import LSTM, Attention, Dense, GlobalAveragePooling1D
from twinflow.keras.models import Sequential

keras.utils.set_random_seed(0)
X = np.random.rand(100, 10, 1)
Y = np.random.rand(100, 1)

model = Sequential([LSTM(50, activation="relu", input_shape=(10, 1)), Dense(1)])
model.compile(optimizer="adam", loss="mean_squared_error")
history = model.fit(X, Y, epochs=20, batch_size=10, verbose=0)
print("LSTM:", history.history["loss"][-1], model.predict(np.array([[[0.5]] * 10]), verbose=0))

inputs = keras.Input((10, 1))
steps = LSTM(50, activation="relu", return_sequences=True)(inputs)
outputs = Dense(1)(GlobalAveragePooling1D()(Attention()([steps, steps])))
model = keras.Model(inputs, outputs)
model.compile(optimizer="adam", loss="mean_squared_error")
history = model.fit(X, Y, epochs=5, batch_size=10, verbose=0)
print("attention:", history.history["loss"][-1], model.predict(np.array([[[0.5]] * 10]), verbose=0).shape)
