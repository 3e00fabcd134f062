"""Near-duplicates: what a change looks like when names, numbers and white space are put aside, and who looks alike. Pure.

`fingerprint` makes shingles of a candidate, `engine` finds those that look alike, `bulk` does the same on many machines.
"""
