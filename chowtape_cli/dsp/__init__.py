"""Pure signal processing: arrays in, arrays out."""
