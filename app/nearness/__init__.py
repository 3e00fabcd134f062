"""Near-duplicates: what a change looks like when names and numbers are put aside, and which changes look alike. Pure.

`fingerprint` makes the shingles of a candidate, `engine` finds those that look alike, `bulk` does so on many machines.
"""
