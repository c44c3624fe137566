"""What is published: the wheel, the source distribution, and the README on the package index."""
