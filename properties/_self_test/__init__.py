"""The suite tried by planting what it should find: bugs of the catalogue, mutants of a package, faults in the verifier itself."""
