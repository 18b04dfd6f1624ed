"""DiffPoint: one or several pictures of an object become a point cloud."""
