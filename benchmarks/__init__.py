"""Side-by-side measurements of twinflow and other frameworks; see README.md in this folder."""
