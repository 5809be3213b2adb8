"""Configuration: `invsync.toml` and INVSYNC_ variables as frozen values, and secrets by name."""
