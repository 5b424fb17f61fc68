"""`igmu run`: from models to a verdict, in a folder that says itself how it was made."""
