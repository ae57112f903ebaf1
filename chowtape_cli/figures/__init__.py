"""The numbers behind the plots: settings and recordings in, arrays out."""
