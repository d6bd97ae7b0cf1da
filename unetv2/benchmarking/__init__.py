"""How fast, how large and how good models and artefacts are on this machine."""
