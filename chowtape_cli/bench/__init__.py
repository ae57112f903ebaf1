"""How fast the tape is on this machine: solvers, whole renders, and where their time goes."""
