"""How fast, how large and how good models and artifacts are on this machine."""
