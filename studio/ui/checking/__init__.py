"""The page that looks at pictures: forensic evidence, the seal, and what the file says of itself."""
