"""Human parsing: which pixel is hair, skin, which garment."""
