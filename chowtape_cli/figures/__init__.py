"""The numbers behind the plots: settings, samples and banks in, arrays out; nothing is drawn here."""
