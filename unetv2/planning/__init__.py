"""Planning: what a data set is like, and how to train on it."""
