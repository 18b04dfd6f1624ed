"""What the try-on systems share: parsing, detection, layout, masks, garment understanding."""
