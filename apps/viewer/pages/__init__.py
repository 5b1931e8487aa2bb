"""The pages of the viewer: each module has `page()`, which draws it."""
