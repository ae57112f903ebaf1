"""Drawing: the numbers of `figures` as pictures, or as a quick look in the terminal."""
