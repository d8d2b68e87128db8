"""Sweeps: many networks at many places, planned, gone on with, and kept where they stand."""
