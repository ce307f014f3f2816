"""Families of generated sequences: each tests one thing, and its best possible answer is known."""
