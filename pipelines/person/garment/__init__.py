"""Garments: cut out of a product photo, described by 20 outline landmarks, and laid over a body part by part."""
