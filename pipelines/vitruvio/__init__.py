"""Vitruvio: a building's mesh from one perspective sketch (Tono et al., Automation in Construction 2024)."""
