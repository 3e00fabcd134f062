"""Unified diffs as data: parse, pair, mark, colour, draw, edit and rebuild. Pure: no database, no HTTP, no clock."""
