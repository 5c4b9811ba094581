"""Faults on purpose: how they are asked for, whom they meet, and how they are carried out. See docs/CHAOS.md."""
