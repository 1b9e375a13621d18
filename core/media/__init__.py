"""Pictures and sounds: check them and store them."""
