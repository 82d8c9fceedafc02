# %% [markdown]
# # A network learns to read digits
#
# This is a notebook in text form: open it in VS Code, or in Jupyter with jupytext, or run its cells
# one by one. The stop button ends training after the current step, and the run so far is kept.

# %%
import mnistgpu

# %% [markdown]
# **Train.** Without data it is MNIST, which comes with the package. `fast` is a recipe: named
# settings that are known to work.

# %%
run = mnistgpu.fit(recipe="fast")
run

# %% [markdown]
# **The network**, and what it answers to ten test images.

# %%
run.model

# %%
test = mnistgpu.load_data().test
print("answers", run.model.predict(test.images[:10]))
print("labels ", test.labels[:10])

# %% [markdown]
# **Arrays of your own** are `(N, 784)` or `(N, 28, 28)`, integers from 0 (paper) to 255 (ink) or
# floats from 0 to 1.

# %%
digits = mnistgpu.load_data().train
X, y = digits.images[:5000].reshape(-1, 28, 28), digits.labels[:5000]
own = mnistgpu.fit(X, y, layers="784-64-10", init="he", batch_size=100, epochs=5, alpha=0.1)
own.history[-1]

# %% [markdown]
# **How good is it, and where is it wrong?** The report has the confusion of the digits, how far its
# probabilities can be trusted, and its worst mistakes.

# %%
run.report()
