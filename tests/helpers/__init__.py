"""What several tests use: data, pictures, real processes, a browser, stand-ins for a GPU."""
